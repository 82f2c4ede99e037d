//! Whose a file is in the guest and on the host.
//!
//! A process of root's gives files away: what uid N makes belongs to N. One of an ordinary user's cannot: all that it makes is the
//! user's. So in the guest the user's files are root's, those of others nobody's, and what the guest says about a file's owner is
//! noted with the file, in an extended attribute that no guest sees (docs/decisions/0027-rootless.md). Symbolic links, FIFOs and
//! sockets carry none, and stay root's.

use std::io;

use fuse_backend_rs::abi::fuse_abi::stat64;
use fuse_backend_rs::api::filesystem::SetattrValid;
use nix::unistd::{getegid, geteuid};

use super::files::Files;
use super::names::{NOTE, errno};
use super::user::User;

/// Whom files of other users belong to, as in the kernel's user namespaces.
const NOBODY: u32 = 65_534;
/// Two numbers of ten digits, and what is between them.
const MAX_NOTE_BYTES: usize = 21;

/// What this process can do about files' owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owners {
    /// Files have the owners that they have.
    Real,
    /// Files are this user's, and notes say more.
    Noted { uid: u32, gid: u32 },
}

impl Owners {
    /// As this process is.
    pub(super) fn of_process() -> Self {
        if geteuid().is_root() { Self::Real } else { Self::noted() }
    }

    /// Those of the user whose process this is.
    pub(super) fn noted() -> Self {
        Self::Noted { uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }

    /// As whom a file is made for a process of the guest.
    pub(super) fn maker(self, user: User) -> User {
        match self {
            Self::Real => user,
            Self::Noted { .. } => User { uid: 0, gid: 0 },
        }
    }

    /// Notes who made a file, as far as that can be noted.
    pub(super) fn made(self, files: &Files, inode: u64, status: &stat64, user: User) {
        let owner = (user.uid, user.gid);
        if let Self::Noted { .. } = self
            && owner != (0, 0)
            && carries_notes(status)
            && let Err(error) = note(files, inode, status.st_mode, owner)
        {
            tracing::debug!(%error, "a file's owner was not noted");
        }
    }

    /// Changes a status into what the guest is told.
    pub(super) fn show(self, files: &Files, inode: u64, status: &mut stat64) {
        if let Self::Noted { uid, gid } = self {
            let noted =
                if carries_notes(status) && status.st_uid == uid { noted(files, inode) } else { None };
            let guests = |id: u32, own: u32| if id == own { 0 } else { NOBODY };
            (status.st_uid, status.st_gid) =
                noted.unwrap_or((guests(status.st_uid, uid), guests(status.st_gid, gid)));
        }
    }

    /// Gives a file away, where that is a matter of notes; what else is to be changed.
    pub(super) fn change(
        self,
        files: &Files,
        inode: u64,
        attr: &stat64,
        valid: SetattrValid,
    ) -> io::Result<SetattrValid> {
        let owners = SetattrValid::UID | SetattrValid::GID;
        let Self::Noted { uid, .. } = self else { return Ok(valid) };
        if !valid.intersects(owners) {
            return Ok(valid);
        }
        let status = files.status(inode, None)?;
        if carries_notes(&status) {
            if status.st_uid != uid {
                return Err(errno(libc::EPERM));
            }
            let mut shown = status;
            self.show(files, inode, &mut shown);
            let given = |flag, id: u32, before: u32| if valid.contains(flag) { id } else { before };
            let owner = (
                given(SetattrValid::UID, attr.st_uid, shown.st_uid),
                given(SetattrValid::GID, attr.st_gid, shown.st_gid),
            );
            if owner != (shown.st_uid, shown.st_gid) {
                note(files, inode, status.st_mode, owner)?;
            }
        }
        Ok(valid - owners)
    }
}

/// Linux keeps users' attributes of these only.
fn carries_notes(status: &stat64) -> bool {
    matches!(status.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR)
}

fn noted(files: &Files, inode: u64) -> Option<(u32, u32)> {
    files.attribute(inode, NOTE, MAX_NOTE_BYTES).ok().and_then(|value| parse(&value))
}

fn parse(note: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = std::str::from_utf8(note).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// Writes a note. The kernel wants a file to be writable for that.
fn note(files: &Files, inode: u64, mode: u32, (uid, gid): (u32, u32)) -> io::Result<()> {
    let value = format!("{uid}:{gid}");
    let write = || files.set_attribute(inode, NOTE, value.as_bytes(), 0);
    match write() {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            let set_mode = |mode: u32| {
                let mut attr = files.status(inode, None)?;
                attr.st_mode = mode & 0o7777;
                files.change(inode, None, &attr, SetattrValid::MODE)
            };
            set_mode(mode | libc::S_IWUSR)?;
            let written = write();
            set_mode(mode)?;
            written
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_two_numbers() {
        assert_eq!(parse(b"999:4294967295"), Some((999, u32::MAX)));
        for broken in [&b""[..], b"1", b"1:", b":1", b"-1:1", b"1:4294967296", b"1:2:3", b"\xff:1"] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }
}
