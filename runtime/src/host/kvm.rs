//! Whether KVM can run guests here, measured by the VMM (`holm-vmm --probe`).
//!
//! Opening `/dev/kvm` proves nothing: some paravirtual KVMs answer the whole API and interpret the guest kernel. The VMM
//! refuses those by itself when a container starts; this is for telling people (`holm doctor`).

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use holm_protocol::kvm_probe::KvmProbe;

use super::Installation;

/// Why the probe could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum KvmError {
    /// It could not be started.
    #[error("cannot run {}", path.display())]
    Start {
        /// The VMM.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its answer is not understood.
    #[error("{} --probe answered {answer:?}", path.display())]
    Answer {
        /// The VMM.
        path: PathBuf,
        /// What it printed.
        answer: String,
    },
}

/// Runs the probe: a throwaway VM for a few milliseconds.
///
/// # Errors
/// When it cannot be run or answers nonsense; an unusable KVM is a finding, not an error.
pub fn probe(installation: &Installation) -> Result<KvmProbe, KvmError> {
    let path = &installation.vmm;
    let output = Command::new(path)
        .arg("--probe")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| KvmError::Start { path: path.clone(), source })?;
    serde_json::from_slice(&output.stdout).map_err(|_| KvmError::Answer {
        path: path.clone(),
        answer: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}
