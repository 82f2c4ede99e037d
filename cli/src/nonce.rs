//! What makes equal things differ: random names.

use std::io;

use anyhow::Result;

/// 32 hex digits from the kernel's random numbers.
pub(crate) fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
