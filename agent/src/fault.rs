//! What can go wrong in an RPC: a kind that becomes a ttrpc status code, and a message for the user.
//!
//! Faults also cross from a forked child to the agent ([`crate::child::channel`]), hence plain data and no source.

use std::fmt::Display;

use ttrpc::Code;

/// The classes of failure that `protocol/proto/agent.proto` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FaultKind {
    /// A program or an id does not exist.
    NotFound = 1,
    /// A program is not executable.
    PermissionDenied = 2,
    /// Not in a state where the call makes sense.
    FailedPrecondition = 3,
    /// The spec asks for what cannot be.
    InvalidArgument = 4,
    /// The guest failed.
    Internal = 5,
}

impl FaultKind {
    const ALL: [Self; 5] = [
        Self::NotFound,
        Self::PermissionDenied,
        Self::FailedPrecondition,
        Self::InvalidArgument,
        Self::Internal,
    ];

    /// The inverse of `as u8`; what is unknown is internal.
    pub(crate) fn from_byte(byte: u8) -> Self {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte).unwrap_or(Self::Internal)
    }

    fn code(self) -> Code {
        match self {
            Self::NotFound => Code::NOT_FOUND,
            Self::PermissionDenied => Code::PERMISSION_DENIED,
            Self::FailedPrecondition => Code::FAILED_PRECONDITION,
            Self::InvalidArgument => Code::INVALID_ARGUMENT,
            Self::Internal => Code::INTERNAL,
        }
    }
}

/// A failure and its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(FaultKind::NotFound, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(FaultKind::InvalidArgument, message)
    }

    pub(crate) fn precondition(message: impl Into<String>) -> Self {
        Self::new(FaultKind::FailedPrecondition, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Internal, message)
    }
}

impl From<Fault> for ttrpc::Error {
    fn from(fault: Fault) -> Self {
        Self::RpcStatus(ttrpc::get_status(fault.kind.code(), fault.message))
    }
}

/// Turns an error into a fault by saying what was being done.
pub(crate) trait At<T> {
    /// The guest failed at `what`.
    fn at(self, what: impl Display) -> Result<T, Fault>;
    /// The spec asks for what cannot be: `what` and why.
    fn refuse(self, what: impl Display) -> Result<T, Fault>;
}

impl<T, E: Display> At<T> for Result<T, E> {
    fn at(self, what: impl Display) -> Result<T, Fault> {
        self.map_err(|error| Fault::internal(format!("{what}: {error}")))
    }

    fn refuse(self, what: impl Display) -> Result<T, Fault> {
        self.map_err(|error| Fault::invalid(format!("{what}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_a_byte() {
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::from_byte(kind as u8), kind);
        }
        assert_eq!(FaultKind::from_byte(0), FaultKind::Internal);
    }

    #[test]
    fn a_fault_becomes_a_status() {
        let ttrpc::Error::RpcStatus(status) = ttrpc::Error::from(Fault::not_found("no such thing")) else {
            panic!("not a status");
        };
        assert_eq!((status.code(), status.message()), (Code::NOT_FOUND, "no such thing"));
    }
}
