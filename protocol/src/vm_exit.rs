//! How a VM ended: the VMM's exit status, and one line on its standard error.
//!
//! `holm-vmm` writes `holm-vmm: <reason>` as its last line and exits with [`VmExit::status`]. The host maps the status
//! back with [`VmExitKind::from_status`]; the line is for people.
//!
//! Trust: a panic's message is the guest's own words: bounded, and printable ASCII only ([`printable`]).

use std::fmt;

/// Longest part of a guest's message that is repeated, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 256;

/// How a VM ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmExit {
    /// The guest asked for power-off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
    /// The guest's kernel panicked; what it said.
    KernelPanic(String),
    /// A virtual CPU faulted beyond recovery.
    TripleFault,
    /// The VMM was told to stop by this signal.
    Killed(i32),
    /// The configuration was refused, and why.
    ConfigRefused(String),
    /// KVM is missing or cannot run guests, and why.
    KvmUnusable(String),
    /// The VMM itself failed, and at what.
    Internal(String),
}

/// [`VmExit`] without its details, as an exit status carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmExitKind {
    /// Status 0.
    PowerOff,
    /// Status 10.
    Reset,
    /// Status 11.
    KernelPanic,
    /// Status 12.
    TripleFault,
    /// Status 13.
    Killed,
    /// Status 14.
    ConfigRefused,
    /// Status 15.
    KvmUnusable,
    /// Status 16, and every status that is not listed.
    Internal,
}

impl VmExitKind {
    const ALL: [Self; 8] = [
        Self::PowerOff,
        Self::Reset,
        Self::KernelPanic,
        Self::TripleFault,
        Self::Killed,
        Self::ConfigRefused,
        Self::KvmUnusable,
        Self::Internal,
    ];

    /// The process exit status.
    #[must_use]
    pub const fn status(self) -> u8 {
        match self {
            Self::PowerOff => 0,
            Self::Reset => 10,
            Self::KernelPanic => 11,
            Self::TripleFault => 12,
            Self::Killed => 13,
            Self::ConfigRefused => 14,
            Self::KvmUnusable => 15,
            Self::Internal => 16,
        }
    }

    /// The inverse of [`Self::status`].
    #[must_use]
    pub fn from_status(status: i32) -> Self {
        Self::ALL.into_iter().find(|kind| i32::from(kind.status()) == status).unwrap_or(Self::Internal)
    }
}

impl VmExit {
    /// The kind alone.
    #[must_use]
    pub const fn kind(&self) -> VmExitKind {
        match self {
            Self::PowerOff => VmExitKind::PowerOff,
            Self::Reset => VmExitKind::Reset,
            Self::KernelPanic(_) => VmExitKind::KernelPanic,
            Self::TripleFault => VmExitKind::TripleFault,
            Self::Killed(_) => VmExitKind::Killed,
            Self::ConfigRefused(_) => VmExitKind::ConfigRefused,
            Self::KvmUnusable(_) => VmExitKind::KvmUnusable,
            Self::Internal(_) => VmExitKind::Internal,
        }
    }

    /// The process exit status.
    #[must_use]
    pub const fn status(&self) -> u8 {
        self.kind().status()
    }
}

impl fmt::Display for VmExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOff => f.write_str("guest powered off"),
            Self::Reset => f.write_str("guest asked for a reset"),
            Self::KernelPanic(message) => write!(f, "guest kernel panic: {message}"),
            Self::TripleFault => f.write_str("guest triple fault"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
            Self::ConfigRefused(why) => write!(f, "configuration refused: {why}"),
            Self::KvmUnusable(why) => write!(f, "KVM is not usable: {why}"),
            Self::Internal(why) => write!(f, "internal failure: {why}"),
        }
    }
}

/// A guest's words as they may be shown: printable ASCII, one line, at most [`MAX_MESSAGE_BYTES`].
#[must_use]
pub fn printable(message: &[u8]) -> String {
    message
        .iter()
        .take(MAX_MESSAGE_BYTES)
        .map(|&b| if b == b' ' || b.is_ascii_graphic() { char::from(b) } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_distinct_and_map_back() {
        for kind in VmExitKind::ALL {
            assert_eq!(VmExitKind::from_status(i32::from(kind.status())), kind);
        }
        assert_eq!(VmExitKind::from_status(101), VmExitKind::Internal);
    }

    #[test]
    fn a_guests_words_are_tamed() {
        assert_eq!(printable(b"a\x1b[31m\nb"), "a?[31m?b");
        assert_eq!(printable(&[b'x'; 1000]).len(), MAX_MESSAGE_BYTES);
    }
}
