//! Handing rules to the kernel: one `nft -f -` for each change, a transaction.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use super::error::NetworkError;

/// Longest message of nft that is passed on, in bytes.
const MAX_MESSAGE_BYTES: usize = 512;

/// Applies a script, all of it or nothing.
pub(super) fn apply(script: &str) -> Result<(), NetworkError> {
    let started = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(NetworkError::NftMissing)?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(script.as_bytes()) {
            // What it says on its way out tells more.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(NetworkError::NftMissing(error));
            }
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(NetworkError::NftMissing)?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let line = message.lines().next().unwrap_or_default();
    Err(NetworkError::Nft(line.chars().take(MAX_MESSAGE_BYTES).collect()))
}
