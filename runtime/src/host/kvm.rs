//! Whether KVM can run guests here: measured by the VMM (`holm-vmm --probe`), remembered until the next boot.
//!
//! Opening `/dev/kvm` proves nothing: some paravirtual KVMs answer the whole API and interpret the guest kernel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::{Directories, Installation};
use crate::durable;

/// What the probe found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KvmReport {
    /// Whether guests can run.
    pub usable: bool,
    /// What is wrong; empty when usable.
    #[serde(default)]
    pub reason: String,
    /// Speed of a simple loop in the guest's ring 0.
    #[serde(default)]
    pub instructions_per_second: Option<f64>,
}

/// Why KVM cannot be used, or could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum KvmError {
    /// The probe could not be started.
    #[error("cannot run {}", path.display())]
    Start {
        /// The VMM.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The probe's answer is not understood.
    #[error("{} --probe answered {answer:?}", path.display())]
    Answer {
        /// The VMM.
        path: PathBuf,
        /// What it printed.
        answer: String,
    },
    /// KVM cannot run guests.
    #[error("KVM is not usable: {0}. 'holm doctor' tells more")]
    Unusable(String),
}

/// Runs the probe: a throwaway VM for a few milliseconds.
///
/// # Errors
/// When it cannot be run or answers nonsense; an unusable KVM is a report, not an error.
pub fn probe(installation: &Installation) -> Result<KvmReport, KvmError> {
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

/// Answers from memory when KVM was found usable since boot, otherwise probes.
///
/// # Errors
/// When KVM is not usable or cannot be asked.
pub fn check(installation: &Installation, directories: &Directories) -> Result<(), KvmError> {
    let remembered = directories.run().join("kvm.json");
    if Path::new("/dev/kvm").exists() && read(&remembered).is_some_and(|report| report.usable) {
        return Ok(());
    }
    let report = probe(installation)?;
    if !report.usable {
        return Err(KvmError::Unusable(report.reason));
    }
    // Forgetting it only costs a probe.
    if let Ok(json) = serde_json::to_vec(&report) {
        let _ = durable::write(&remembered, &json);
    }
    Ok(())
}

fn read(path: &Path) -> Option<KvmReport> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
