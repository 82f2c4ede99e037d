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

/// Users' attributes, capabilities of files and access lists. Not `trusted.` and the rest of `security.`: with those the
/// host's kernel decides about the host (overlays, security modules).
///
/// # Errors
/// EOPNOTSUPP, as of a file system that has no such attributes.
pub(super) fn check_attribute(name: &CStr) -> io::Result<()> {
    match name.to_bytes() {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => Ok(()),
        name if name.starts_with(b"user.") => Ok(()),
        _ => Err(errno(libc::EOPNOTSUPP)),
    }
}
