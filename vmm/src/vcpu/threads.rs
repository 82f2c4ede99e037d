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
use crate::jail::Role;
use crate::thread;

/// All vCPUs of a VM, running.
#[derive(Debug)]
pub struct VcpuThreads {
    /// Each gives its vCPU back when it was stopped; none does that ended the VM.
    handles: Vec<JoinHandle<Option<Vcpu>>>,
    stop: Arc<AtomicBool>,
}

/// What came of stopping.
#[derive(Debug)]
pub enum Stopped {
    /// No guest instruction runs any more. These can be started again, unless the VM has ended: then some are missing.
    All(Vec<Vcpu>),
    /// One is held up by a device (a disk that does not answer) and was left behind.
    Some,
}

/// Starts vCPUs, which stop only when [`super::install_handler`] was called. The first one that ends the VM reports how.
///
/// # Errors
/// A thread cannot be started; those that were run until the process ends.
pub fn start(vcpus: Vec<Vcpu>, bus: &Arc<Bus>, ending: &Arc<Ending>) -> Result<VcpuThreads, VcpuError> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut handles = Vec::with_capacity(vcpus.len());
    for vcpu in vcpus {
        let id = vcpu.id;
        let (bus, ending, stop) = (Arc::clone(bus), Arc::clone(ending), Arc::clone(&stop));
        let body = move || {
            let mut vcpu = Kickable::new(vcpu);
            match run(&mut vcpu, &bus, &stop) {
                Some(exit) => {
                    ending.report(exit);
                    None
                }
                None => Some(vcpu.untie()),
            }
        };
        let thread = thread::spawn(format!("vcpu{id}"), Some(Role::Vcpu), body);
        handles.push(thread.map_err(|source| VcpuError::Thread { id, source })?);
    }
    Ok(VcpuThreads { handles, stop })
}

impl VcpuThreads {
    /// Stops all vCPUs. One that is held up is given `patience`.
    pub fn stop(self, patience: Duration) -> Stopped {
        self.stop.store(true, Ordering::Release);
        for handle in &self.handles {
            // Fails only for a thread that has ended.
            let _ = handle.kill(kick::signal());
        }
        let deadline = Instant::now() + patience;
        let mut vcpus = Vec::with_capacity(self.handles.len());
        for handle in self.handles {
            while !handle.is_finished() {
                if Instant::now() >= deadline {
                    return Stopped::Some;
                }
                std::thread::park_timeout(Duration::from_micros(50));
            }
            // A thread that panicked has ended, too.
            vcpus.extend(handle.join().ok().flatten());
        }
        Stopped::All(vcpus)
    }
}
