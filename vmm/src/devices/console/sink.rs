//! Where console lines go, and how many: a guest may write for ever, the host keeps a bounded part.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Instant;

use holm_protocol::vm_config::{ConsoleConfig, MAX_CONSOLE_LOG_BYTES};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Beyond a first [`MAX_CONSOLE_LOG_BYTES`], standard error gets this many bytes a second.
const STDERR_BYTES_PER_SECOND: u64 = 1024;

/// The console file cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the console file {}", path.display())]
pub struct ConsoleError {
    path: PathBuf,
    source: io::Error,
}

/// Where lines go.
pub(super) enum Sink {
    Nowhere,
    /// What may still be written, and when that was counted.
    Stderr {
        budget_bytes: u64,
        counted: Instant,
    },
    File {
        file: File,
        budget_bytes: u64,
    },
}

impl Sink {
    pub(super) fn open(config: &ConsoleConfig) -> Result<Self, ConsoleError> {
        Ok(match config {
            ConsoleConfig::Off => Self::Nowhere,
            ConsoleConfig::Stderr => {
                Self::Stderr { budget_bytes: MAX_CONSOLE_LOG_BYTES, counted: Instant::now() }
            }
            ConsoleConfig::File(path) => {
                let file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .custom_flags(libc::O_NOFOLLOW)
                    .open(path)
                    .map_err(|source| ConsoleError { path: path.clone(), source })?;
                Self::File { file, budget_bytes: MAX_CONSOLE_LOG_BYTES }
            }
        })
    }

    /// Writes a line and its end, or drops it. Never waits for a reader.
    pub(super) fn write(&mut self, line: &[u8]) {
        let mut bytes = line.to_vec();
        bytes.push(b'\n');
        let length = bytes.len() as u64;
        match self {
            Self::Nowhere => {}
            Self::Stderr { budget_bytes, counted } => {
                let seconds = counted.elapsed().as_secs();
                if seconds > 0 {
                    let earned = seconds.saturating_mul(STDERR_BYTES_PER_SECOND);
                    *budget_bytes = budget_bytes.saturating_add(earned).min(MAX_CONSOLE_LOG_BYTES);
                    *counted = Instant::now();
                }
                if let Some(rest) = budget_bytes.checked_sub(length)
                    && takes_a_line(&io::stderr())
                {
                    *budget_bytes = rest;
                    // A console that cannot be written is no reason to stop a guest.
                    let _ = io::stderr().write_all(&bytes);
                }
            }
            Self::File { file, budget_bytes } => match budget_bytes.checked_sub(length) {
                Some(rest) => {
                    *budget_bytes = rest;
                    let _ = file.write_all(&bytes);
                }
                // No later, shorter line slips in behind a gap.
                None => *budget_bytes = 0,
            },
        }
    }
}

/// Whether a line can be written without waiting: a pipe that polls writable takes PIPE_BUF (4096) bytes.
fn takes_a_line(output: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
}

#[cfg(test)]
mod tests {
    use super::super::line::MAX_LINE_BYTES;
    use super::*;

    #[test]
    fn a_file_stops_growing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("console");
        let mut sink = Sink::open(&ConsoleConfig::File(path.clone())).unwrap();
        for _ in 0..3 * MAX_CONSOLE_LOG_BYTES / MAX_LINE_BYTES as u64 {
            sink.write(&[b'x'; MAX_LINE_BYTES]);
        }
        sink.write(b"y");
        let text = std::fs::read(&path).unwrap();
        assert!(text.len() as u64 <= MAX_CONSOLE_LOG_BYTES);
        assert!(text.len() as u64 > MAX_CONSOLE_LOG_BYTES - 2 * MAX_LINE_BYTES as u64);
        assert!(!text.contains(&b'y'));
    }

    #[test]
    fn a_symlink_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(Sink::open(&ConsoleConfig::File(link)).is_err());
        assert!(!target.exists());
    }

    #[test]
    fn a_full_pipe_is_not_waited_for() {
        let (_reader, mut writer) = io::pipe().unwrap();
        let mut lines = 0;
        while takes_a_line(&writer) {
            writer.write_all(&[b'x'; MAX_LINE_BYTES + 1]).unwrap();
            lines += 1;
        }
        assert!(lines > 10);
    }
}
