//! The VMM's process: started with its configuration as standard input, asked through its standard output, watched through its
//! standard error.
//!
//! One thread per VMM reads what it says, keeps the last line, and reaps it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use holm_protocol::vm_config::{STANDARD_OUTPUT, VmConfig};
use holm_protocol::vm_exit::{MAX_MESSAGE_BYTES, VmExitKind, printable};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process};

use super::inherit::inherit;
use super::kernel_log;
use super::pid_namespace;
use super::vmm_control::VmmControl;

/// Longest line taken from the VMM, in bytes; what follows is cut.
const MAX_LINE_BYTES: u64 = 4096;

/// How a VMM ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmmEnd {
    /// What its exit status says.
    pub kind: VmExitKind,
    /// Its last words, made printable.
    pub reason: String,
}

/// Why a VMM could not be started.
#[derive(Debug, thiserror::Error)]
pub enum VmmError {
    /// Its configuration could not be handed over.
    #[error("cannot pass the VM's configuration")]
    Config(#[source] io::Error),
    /// It could not be executed.
    #[error("cannot run {}", path.display())]
    Start {
        /// The VMM.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A running VMM. Dropping it does not end it.
#[derive(Debug)]
pub struct VmmProcess {
    /// What it is asked while it runs.
    pub control: Arc<VmmControl>,
    pid: u32,
    reaped: Arc<Mutex<bool>>,
}

/// For the C library (mallopt(3)), whose allocator is to do with few system calls. The threads allocate little, and to decide how many
/// heaps they get it would look for the number of processors in /sys, which no filter of the jail lets it open; large buffers are no
/// maps of their own, which would be moved to grow.
const ONE_HEAP: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_MAX_", "0")];

impl VmmProcess {
    /// Starts the VMM, which inherits `descriptors` under their numbers; `ended` is called once, on another thread, when it is gone.
    ///
    /// The VMM asks the kernel to be killed when the thread that calls this ends, so call it from one that lives as long
    /// as the VM should.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        vmm: &Path,
        config: &VmConfig,
        descriptors: Vec<OwnedFd>,
        ended: impl FnOnce(VmmEnd) + Send + 'static,
    ) -> Result<Self, VmmError> {
        let (control, others) = VmmControl::pair().map_err(VmmError::Config)?;
        let config = VmConfig { control_fd: Some(STANDARD_OUTPUT), ..config.clone() };
        let mut command = Command::new(vmm);
        if !descriptors.is_empty() {
            inherit(&mut command, descriptors);
        }
        command
            .args(["--config-fd", "0", "--parent", &std::process::id().to_string()])
            .stdin(config_file(&config).map_err(VmmError::Config)?)
            .stdout(others)
            .stderr(Stdio::piped())
            .env_clear()
            .envs(ONE_HEAP)
            .envs(
                ["HOLM_LOG", holm_faults::VARIABLE]
                    .into_iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            );
        let mut child = holm_faults::fault!("sandbox.vmm.spawn")
            .and_then(|()| pid_namespace::in_its_own(|| command.spawn()))
            .map_err(|source| VmmError::Start { path: vmm.to_owned(), source })?;
        let pid = child.id();
        holm_faults::crash!("sandbox.vmm.spawned");
        let_be_killed_for_memory(pid);
        let reaped = Arc::new(Mutex::new(false));
        let mark = Arc::clone(&reaped);
        thread::spawn(move || ended(watch(&mut child, &mark)));
        Ok(Self { control: Arc::new(control), pid, reaped })
    }

    /// Its process id on the host.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends it at once; fine when it is gone.
    pub fn kill(&self) {
        // The lock keeps the watcher from reaping, and so the number from being reused, between look and kill.
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reaped && let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // A VMM that ended meanwhile is what was wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// What a guest uses is a workload's: the host may take it back, however well who started it is protected (sshd and many
/// services are). Otherwise a limit that is reached ends nothing, and the guest stands still.
fn let_be_killed_for_memory(pid: u32) {
    let path = format!("/proc/{pid}/oom_score_adj");
    let score = std::fs::read_to_string(&path).ok().and_then(|score| score.trim().parse::<i32>().ok());
    if score.is_some_and(|score| score < 0)
        && let Err(error) = std::fs::write(&path, "0")
    {
        tracing::warn!(pid, %error, "the VMM is as protected from being killed for memory as this process");
    }
}

fn config_file(config: &VmConfig) -> io::Result<File> {
    holm_faults::fault!("sandbox.config")?;
    let mut file = File::from(memfd_create("vm-config", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(config)?)?;
    file.rewind()?;
    Ok(file)
}

fn watch(child: &mut Child, reaped: &Mutex<bool>) -> VmmEnd {
    let last = child.stderr.take().map(last_line).unwrap_or_default();
    // Its end is awaited without the lock and the pid kept until the lock is held: see `kill`.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        // Interrupted or not, the wait below decides.
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    }
    let mut reaped = reaped.lock().unwrap_or_else(PoisonError::into_inner);
    let status = child.wait();
    *reaped = true;
    let kind =
        status.as_ref().ok().and_then(|s| s.code()).map_or(VmExitKind::Killed, VmExitKind::from_status);
    let signal = status.ok().and_then(|s| s.signal());
    let reason = match signal {
        Some(signal) => killed(child.id(), signal),
        None => last.strip_prefix("holm-vmm: ").unwrap_or(&last).to_owned(),
    };
    VmmEnd { kind, reason }
}

/// What is known of a VMM that a signal ended.
fn killed(pid: u32, signal: i32) -> String {
    let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown", nix::sys::signal::Signal::as_str);
    let why = match name {
        "SIGKILL" => {
            kernel_log::killed_for_memory(pid).map(|words| format!("the host's kernel says: {words}"))
        }
        "SIGSYS" => Some("it asked its kernel for what its seccomp filter forbids".to_owned()),
        _ => None,
    };
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("the VMM was killed by signal {signal} ({name}){why}")
}

/// The last line that is not empty, bounded; reads to the end of file.
fn last_line(stderr: impl Read) -> String {
    let mut reader = BufReader::new(stderr);
    let mut last = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                let text = line.trim_ascii();
                if !text.is_empty() {
                    last = text.to_vec();
                    last.truncate(MAX_MESSAGE_BYTES);
                }
            }
        }
    }
    printable(&last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn started(script: &str) -> (VmmProcess, mpsc::Receiver<VmmEnd>) {
        let dir = tempfile::tempdir().unwrap();
        let vmm = dir.path().join("vmm");
        std::fs::write(&vmm, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&vmm, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let config = serde_json::from_value(serde_json::json!({
            "vcpus": 1, "memory_mib": 64, "boot": {"kernel": "/k", "initramfs": "/i"}
        }))
        .unwrap();
        let (sender, receiver) = mpsc::channel();
        let ended = move |end| {
            sender.send(end).unwrap();
            drop(dir);
        };
        (VmmProcess::start(&vmm, &config, Vec::new(), ended).unwrap(), receiver)
    }

    fn end_of(script: &str) -> VmmEnd {
        let (process, end) = started(script);
        let end = end.recv().unwrap();
        process.kill();
        end
    }

    #[test]
    fn the_status_and_the_last_line_are_reported() {
        assert_eq!(
            end_of("echo noise >&2; echo 'holm-vmm: guest triple fault' >&2; exit 12"),
            VmmEnd { kind: VmExitKind::TripleFault, reason: "guest triple fault".into() }
        );
        let (process, end) = started("exec sleep 1000");
        process.kill();
        assert_eq!(end.recv().unwrap().reason, "the VMM was killed by signal 9 (SIGKILL)");
        let forbidden = killed(process.pid(), 31);
        assert!(
            forbidden.ends_with("(SIGSYS): it asked its kernel for what its seccomp filter forbids"),
            "{forbidden}"
        );
    }

    #[test]
    fn the_configuration_arrives_on_standard_input() {
        let end = end_of("read -r line; echo \"$line\" >&2");
        assert!(end.reason.starts_with("{\"vcpus\":1,"), "{}", end.reason);
    }

    #[test]
    fn a_flood_of_words_is_bounded() {
        let end = end_of("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 16");
        assert!(end.reason.len() <= MAX_MESSAGE_BYTES);
    }
}
