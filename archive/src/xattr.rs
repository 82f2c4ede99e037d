//! Extended attributes that an archive carries (as `SCHILY.xattr.*`): the user's, capabilities and access control lists.
//! Those of a file system's own (`trusted.overlay.*`) and of a host's policy (`security.selinux`) stay where they are.

use std::os::fd::BorrowedFd;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::{Errno, Result};

/// Longest list of names, and longest value (linux/limits.h).
const MAX_BYTES: usize = 64 << 10;

/// Whether an archive carries it.
pub(crate) fn is_carried(name: &[u8]) -> bool {
    let known: [&[u8]; 3] = [b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"];
    (name.starts_with(b"user.") || known.contains(&name)) && !name.contains(&b'=')
}

/// Name and value of all that an archive carries, by name. `file` is open for reading.
pub(crate) fn read(file: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut list = [0_u8; 1024];
    let names = match flistxattr(file, &mut list[..]) {
        Ok(length) => list.get(..length).unwrap_or_default().to_vec(),
        Err(Errno::RANGE) => {
            let mut list = vec![0_u8; MAX_BYTES];
            let length = flistxattr(file, list.as_mut_slice())?;
            list.truncate(length);
            list
        }
        // A file system without any.
        Err(Errno::OPNOTSUPP) => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| is_carried(name)) {
        let mut value = vec![0_u8; MAX_BYTES];
        match fgetxattr(file, name, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                found.push((name.to_vec(), value));
            }
            // Removed meanwhile.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort();
    Ok(found)
}

/// Sets one. A file system that cannot have it goes without, as in Docker.
pub(crate) fn write(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    match fsetxattr(file, name, value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => Ok(()),
        done => done,
    }
}
