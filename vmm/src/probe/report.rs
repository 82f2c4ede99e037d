//! What `holm-vmm --probe` prints.

use holm_protocol::causes::with_causes;
use holm_protocol::kvm_probe::KvmProbe;

use super::{ProbeError, measure};

/// Measures and says what was found.
#[must_use]
pub fn report() -> KvmProbe {
    match measure() {
        Ok(speed) => KvmProbe { usable: true, reason: None, instructions_per_second: Some(speed) },
        Err(error) => KvmProbe {
            usable: false,
            instructions_per_second: match error {
                ProbeError::Interpreted { instructions_per_second } => Some(instructions_per_second),
                _ => None,
            },
            reason: Some(with_causes(&error)),
        },
    }
}
