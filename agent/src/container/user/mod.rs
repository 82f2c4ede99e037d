//! Who a process runs as: `process.user` resolved in the container (config.md "User"; Docker's `--user`).
//!
//! The C library's own look-ups (NSS) are never used: they would load and obey files of the image.
//!
//! Trust: /etc/passwd and /etc/group are the image's: bounded in size, malformed lines skipped, ids range-checked.

mod database;
mod resolve;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use super::devices;
use crate::fault::{At, Fault};
use crate::oci;

/// More than this of /etc/passwd or /etc/group is refused.
const MAX_DATABASE_BYTES: u64 = 8 << 20;

/// A process's identity, all numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// Home directory by /etc/passwd, else `/`.
    pub(crate) home: String,
}

/// Resolves a user in the calling process's root.
pub(crate) fn resolve(user: &oci::User) -> Result<Identity, Fault> {
    let passwd = read_database("/etc/passwd")?;
    if user.username.is_empty() {
        let home = database::users(&passwd).find(|entry| entry.uid == user.uid).map(|entry| entry.home);
        return Ok(Identity {
            uid: user.uid,
            gid: user.gid,
            groups: user.additional_gids.clone(),
            home: home.filter(|home| !home.is_empty()).unwrap_or("/").to_owned(),
        });
    }
    resolve::resolve(&user.username, &user.additional_gids, &passwd, &read_database("/etc/group")?)
}

/// The text of a database; empty when there is none, as in images from scratch.
fn read_database(path: &str) -> Result<String, Fault> {
    // Not blocking: the image may have put a FIFO there.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
    {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(String::new());
        }
        opened => opened.at(format_args!("opening {path}"))?,
    };
    // The null device masks what nobody is to read.
    if devices::is_character_device(&file, 1, 3) {
        return Ok(String::new());
    }
    if !file.metadata().at(format_args!("reading {path}"))?.is_file() {
        return Err(Fault::invalid(format!("{path} of the image is not a file")));
    }
    let mut text = Vec::new();
    file.take(MAX_DATABASE_BYTES + 1).read_to_end(&mut text).at(format_args!("reading {path}"))?;
    if text.len() as u64 > MAX_DATABASE_BYTES {
        return Err(Fault::invalid(format!("{path} of the image is too large")));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_database_is_an_empty_one() {
        assert_eq!(read_database("/dev/null").unwrap(), "");
        assert_eq!(read_database("/nowhere/passwd").unwrap(), "");
        assert!(read_database("/dev/zero").is_err() && read_database("/dev").is_err());
    }
}
