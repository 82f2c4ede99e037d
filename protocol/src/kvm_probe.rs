//! What `holm-vmm --probe` prints: one JSON line that tells whether KVM can run guests.
//!
//! The exit status is `VmExitKind::PowerOff`'s if it can and `VmExitKind::KvmUnusable`'s if not.

use serde::{Deserialize, Serialize};

/// The probe's finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvmProbe {
    /// Whether VMs can be started.
    pub usable: bool,
    /// If not, why, and what to do about it.
    pub reason: Option<String>,
    /// Speed of a simple loop in guest ring 0, if it could be measured.
    pub instructions_per_second: Option<u64>,
}
