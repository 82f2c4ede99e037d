//! The first line on a stream's vsock connection: which stream of which process or transfer it carries.
//!
//! `<container-id> <process-id, transfer-id or -> <stdin|stdout|stderr|files>\n`, ASCII, at most [`MAX_HEADER_BYTES`]. After
//! it the connection carries the stream's raw bytes: host to guest for stdin, guest to host for the outputs. Shutting down the
//! sending side is end of file. With a terminal, stdin and stdout both are the pty's.
//!
//! Trust: the guest reads headers from the host only (peer CID 2); parsing is strict all the same.

use std::fmt;
use std::str::FromStr;

/// Longest header accepted, newline included.
pub const MAX_HEADER_BYTES: usize = 192;

/// One of a process's standard streams, or a transfer of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamKind {
    /// Host to guest.
    Stdin,
    /// Guest to host.
    Stdout,
    /// Guest to host; absent when the process has a terminal.
    Stderr,
    /// Either way: what a transfer moves.
    Files,
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Files => "files",
        })
    }
}

/// Names one stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamHeader {
    /// Container the process or transfer belongs to.
    pub container_id: String,
    /// Empty for the container's first process; the transfer's own for its stream.
    pub process_id: String,
    /// Which stream.
    pub kind: StreamKind,
}

/// Why a header line was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeaderError {
    /// Longer than [`MAX_HEADER_BYTES`].
    #[error("stream header of {0} bytes is too long")]
    TooLong(usize),
    /// Not three space-separated fields.
    #[error("stream header does not have three fields")]
    Fields,
    /// An id with characters outside `[A-Za-z0-9_.-]`.
    #[error("stream header has a malformed id")]
    Id,
    /// Not stdin, stdout, stderr or files.
    #[error("stream header names an unknown stream")]
    Kind,
}

impl fmt::Display for StreamHeader {
    /// The header line, newline included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = if self.process_id.is_empty() { "-" } else { &self.process_id };
        writeln!(f, "{} {} {}", self.container_id, process, self.kind)
    }
}

impl FromStr for StreamHeader {
    type Err = HeaderError;

    fn from_str(line: &str) -> Result<Self, HeaderError> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        if line.len() >= MAX_HEADER_BYTES {
            return Err(HeaderError::TooLong(line.len() + 1));
        }
        let mut fields = line.split(' ');
        let (Some(container), Some(process), Some(kind), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(HeaderError::Fields);
        };
        let well_formed = |id: &str| {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        if !well_formed(container) || !well_formed(process) {
            return Err(HeaderError::Id);
        }
        let kind = match kind {
            "stdin" => StreamKind::Stdin,
            "stdout" => StreamKind::Stdout,
            "stderr" => StreamKind::Stderr,
            "files" => StreamKind::Files,
            _ => return Err(HeaderError::Kind),
        };
        let process_id = if process == "-" { String::new() } else { process.to_owned() };
        Ok(Self { container_id: container.to_owned(), process_id, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_survives_a_round_trip() {
        for (process_id, kind) in [
            ("", StreamKind::Stdin),
            ("exec1", StreamKind::Stdout),
            ("e-2", StreamKind::Stderr),
            ("t", StreamKind::Files),
        ] {
            let header = StreamHeader { container_id: "abc".into(), process_id: process_id.into(), kind };
            assert_eq!(header.to_string().parse(), Ok(header));
        }
    }

    #[test]
    fn a_header_that_is_taken_without_its_newline_is_taken_with_it() {
        for length in MAX_HEADER_BYTES - 20..MAX_HEADER_BYTES {
            let line = format!("{} - stdin", "a".repeat(length));
            let with_newline = format!("{line}\n");
            assert_eq!(line.parse::<StreamHeader>(), with_newline.parse::<StreamHeader>(), "{length}");
            assert_eq!(line.parse::<StreamHeader>().is_ok(), with_newline.len() <= MAX_HEADER_BYTES);
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        assert_eq!("a b".parse::<StreamHeader>(), Err(HeaderError::Fields));
        assert_eq!("a - stdin x".parse::<StreamHeader>(), Err(HeaderError::Fields));
        assert_eq!("a/b - stdin".parse::<StreamHeader>(), Err(HeaderError::Id));
        assert_eq!("a - stdlog".parse::<StreamHeader>(), Err(HeaderError::Kind));
        let long = format!("{} - stdin\n", "a".repeat(MAX_HEADER_BYTES));
        assert!(matches!(long.parse::<StreamHeader>(), Err(HeaderError::TooLong(_))));
    }
}
