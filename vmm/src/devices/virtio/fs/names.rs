//! Which names and extended attributes a guest may use. Pure.

use std::ffi::CStr;
use std::io;

/// An error of the kernel's.
pub(super) fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// One name in a directory: no way up, none down, not the directory itself.
///
/// # Errors
/// EINVAL, or ENAMETOOLONG.
pub(super) fn check(name: &CStr) -> io::Result<()> {
    match name.to_bytes() {
        b"" | b"." | b".." => Err(errno(libc::EINVAL)),
        name if name.contains(&b'/') => Err(errno(libc::EINVAL)),
        name if name.len() > 255 => Err(errno(libc::ENAMETOOLONG)),
        _ => Ok(()),
    }
}

/// Where a file's owner in the guest is noted, if the host cannot keep it.
pub(super) const NOTE: &CStr = c"user.holm.owner";

/// Users' attributes, capabilities of files and access lists. Not [`NOTE`], `trusted.` and the rest of `security.`: with those the
/// host's kernel decides about the host (overlays, security modules).
///
/// # Errors
/// EOPNOTSUPP, as of a file system that has no such attributes.
pub(super) fn check_attribute(name: &CStr) -> io::Result<()> {
    match name.to_bytes() {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => Ok(()),
        name if name == NOTE.to_bytes() => Err(errno(libc::EOPNOTSUPP)),
        name if name.starts_with(b"user.") => Ok(()),
        _ => Err(errno(libc::EOPNOTSUPP)),
    }
}

/// A list of names, each with a zero behind it, without [`NOTE`].
pub(super) fn without_note(names: &[u8]) -> Vec<u8> {
    let kept = names.split_inclusive(|byte| *byte == 0).filter(|name| *name != NOTE.to_bytes_with_nul());
    kept.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_is_the_hosts_alone() {
        assert!(check_attribute(NOTE).is_err() && check_attribute(c"user.holm").is_ok());
        assert_eq!(without_note(b"user.a\0user.holm.owner\0user.b\0"), b"user.a\0user.b\0");
        assert_eq!(without_note(b""), b"");
    }
}
