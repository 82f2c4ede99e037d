//! One thread per vCPU.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vmm_sys_util::signal::Killable;

use super::kick::{self, Kickable};
use super::run::run;
use super::{Vcpu, VcpuError};
use crate::devices::bus::Bus;
use crate::ending::Ending;
use crate::thread;

/// All vCPU threads of a VM.
#[derive(Debug)]
pub struct VcpuThreads {
    handles: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// Starts all vCPUs. The first one that ends the VM reports how.
///
/// # Errors
/// The handler cannot be installed or a thread not be started; those that were run until the process ends.
pub fn start(vcpus: Vec<Vcpu>, bus: &Arc<Bus>, ending: &Arc<Ending>) -> Result<VcpuThreads, VcpuError> {
    kick::install_handler().map_err(VcpuError::Handler)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut handles = Vec::with_capacity(vcpus.len());
    for Vcpu { fd, id } in vcpus {
        let (bus, ending, stop) = (Arc::clone(bus), Arc::clone(ending), Arc::clone(&stop));
        let body = move || {
            if let Some(exit) = run(&mut Kickable::new(fd), id, &bus, &stop) {
                ending.report(exit);
            }
        };
        let thread = thread::spawn(format!("vcpu{id}"), body);
        handles.push(thread.map_err(|source| VcpuError::Thread { id, source })?);
    }
    Ok(VcpuThreads { handles, stop })
}

impl VcpuThreads {
    /// Stops all vCPUs: no guest instruction runs after it returns true. One that is held up in a device (a disk that
    /// does not answer) is given `patience`; then it is left behind.
    pub fn stop(self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Release);
        for handle in &self.handles {
            // Fails only for a thread that has ended.
            let _ = handle.kill(kick::signal());
        }
        let deadline = Instant::now() + patience;
        for handle in self.handles {
            while !handle.is_finished() {
                if Instant::now() >= deadline {
                    return false;
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            // A thread that panicked has ended, too.
            let _ = handle.join();
        }
        true
    }
}
