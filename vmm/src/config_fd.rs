//! Reading the one configuration document.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::RawFd;

use holm_protocol::vm_config::VmConfig;

use crate::descriptors;

/// Longest document in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFdError {
    /// The descriptor is not open, or is an output.
    #[error("descriptor {0} is not an open descriptor for a configuration")]
    Descriptor(RawFd),
    /// It cannot be read.
    #[error("cannot read the configuration")]
    Read(#[source] io::Error),
    /// It is too long.
    #[error("the configuration is longer than {MAX_CONFIG_BYTES} bytes")]
    TooLong,
    /// It is no JSON document of this form.
    #[error("the configuration is malformed")]
    Json(#[source] serde_json::Error),
}

/// Reads the document to its end and closes the descriptor; standard input stays open, at its end. Call it once, before
/// anything else is opened.
///
/// # Errors
/// [`ConfigFdError`]
pub fn read(fd: RawFd) -> Result<VmConfig, ConfigFdError> {
    if fd == libc::STDIN_FILENO {
        return read_from(io::stdin().lock());
    }
    if fd <= libc::STDERR_FILENO {
        return Err(ConfigFdError::Descriptor(fd));
    }
    let file = descriptors::inherited(fd).map_err(|_| ConfigFdError::Descriptor(fd))?;
    read_from(File::from(file))
}

fn read_from(source: impl Read) -> Result<VmConfig, ConfigFdError> {
    let mut document = Vec::new();
    source.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut document).map_err(ConfigFdError::Read)?;
    if document.len() as u64 > MAX_CONFIG_BYTES {
        return Err(ConfigFdError::TooLong);
    }
    serde_json::from_slice(&document).map_err(ConfigFdError::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_document_of_bounded_length_is_taken() {
        let good = br#"{"vcpus":1,"memory_mib":128,"boot":{"kernel":"/k","initramfs":"/i"}}"#;
        assert_eq!(read_from(&good[..]).unwrap().memory_mib, 128);
        assert!(matches!(read_from(&good[..20]), Err(ConfigFdError::Json(_))));
        assert!(matches!(read_from(io::repeat(b' ')), Err(ConfigFdError::TooLong)));
    }

    #[test]
    fn descriptors_that_cannot_be_meant_are_refused() {
        for fd in [1, 2, 1_000_000] {
            assert!(matches!(read(fd), Err(ConfigFdError::Descriptor(_))));
        }
    }
}
