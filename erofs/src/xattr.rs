//! Extended attributes: a header behind the inode, ids of shared attributes, then the inode's own.
//!
//! An attribute that two or more inodes have in the image is stored once in the shared area and named by its offset
//! there, in units of four bytes.

use std::collections::HashMap;

use crate::error::Error;
use crate::inode::Xattr;

const HEADER_BYTES: u64 = 12;
const UNIT_BYTES: u64 = 4;
const MAX_SHARED: usize = 255;

/// Splits a name into the format's namespace number and the rest.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    match name {
        b"system.posix_acl_access" => Some((2, b"")),
        b"system.posix_acl_default" => Some((3, b"")),
        _ => [(1, b"user.".as_slice()), (4, b"trusted."), (6, b"security.")]
            .into_iter()
            .find_map(|(index, prefix)| name.strip_prefix(prefix).map(|rest| (index, rest))),
    }
}

/// Whether the format can hold them.
pub(crate) fn check(xattrs: &[Xattr]) -> Result<(), Error> {
    for xattr in xattrs {
        let (index, rest) = split(&xattr.name).ok_or_else(|| Error::XattrNamespace(xattr.name.to_vec()))?;
        let is_acl = matches!(index, 2 | 3);
        if (rest.is_empty() && !is_acl) || rest.contains(&0) || xattr.name.len() > 255 {
            return Err(Error::XattrName(xattr.name.to_vec()));
        }
        if xattr.value.len() > usize::from(u16::MAX) {
            return Err(Error::XattrValue { name: xattr.name.to_vec(), length: xattr.value.len() });
        }
    }
    let mut names: Vec<&[u8]> = xattrs.iter().map(|xattr| &*xattr.name).collect();
    names.sort_unstable();
    if let Some([name, _]) = names.array_windows().find(|[first, second]| first == second) {
        return Err(Error::DuplicateXattr(name.to_vec()));
    }
    units(HEADER_BYTES + xattrs.iter().map(entry_bytes).sum::<u64>()).map(|_| ())
}

fn entry_bytes(xattr: &Xattr) -> u64 {
    let rest = split(&xattr.name).map_or(0, |(_, rest)| rest.len());
    (4 + rest as u64 + xattr.value.len() as u64).next_multiple_of(UNIT_BYTES)
}

fn encode_entry(xattr: &Xattr, out: &mut Vec<u8>) {
    let Some((index, rest)) = split(&xattr.name) else { return };
    out.extend([u8::try_from(rest.len()).unwrap_or(u8::MAX), index]);
    out.extend(u16::try_from(xattr.value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(rest);
    out.extend_from_slice(&xattr.value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// `i_xattr_icount` for a body of so many bytes.
fn units(bytes: u64) -> Result<u16, Error> {
    u16::try_from((bytes - HEADER_BYTES) / UNIT_BYTES + 1).map_err(|_| Error::XattrsTooLarge(bytes))
}

/// The attributes that are stored once.
#[derive(Debug, Default)]
pub(crate) struct SharedXattrs {
    /// Offset in units of four bytes, by name and value.
    ids: HashMap<Xattr, u32>,
    /// In the order of their offsets, encoded.
    area: Vec<u8>,
}

impl SharedXattrs {
    /// Finds what occurs more than once, in the order of occurrence.
    pub(crate) fn find<'a>(all: impl Iterator<Item = &'a Xattr>) -> Result<Self, Error> {
        let mut seen: HashMap<&Xattr, bool> = HashMap::new();
        let mut shared = Self::default();
        for xattr in all {
            match seen.get_mut(xattr) {
                None => {
                    seen.insert(xattr, false);
                }
                Some(stored) if !*stored => {
                    *stored = true;
                    let id = u32::try_from(shared.area.len() / 4).map_err(|_| Error::TooMany)?;
                    shared.ids.insert(xattr.clone(), id);
                    encode_entry(xattr, &mut shared.area);
                }
                Some(_) => {}
            }
        }
        Ok(shared)
    }

    pub(crate) fn area(&self) -> &[u8] {
        &self.area
    }

    /// Bytes behind the inode and `i_xattr_icount`; zero without attributes.
    pub(crate) fn body_size(&self, xattrs: &[Xattr]) -> Result<(u64, u16), Error> {
        if xattrs.is_empty() {
            return Ok((0, 0));
        }
        let (shared, own) = self.split(xattrs);
        let bytes =
            HEADER_BYTES + UNIT_BYTES * shared.len() as u64 + own.into_iter().map(entry_bytes).sum::<u64>();
        Ok((bytes, units(bytes)?))
    }

    pub(crate) fn encode_body(&self, xattrs: &[Xattr]) -> Vec<u8> {
        if xattrs.is_empty() {
            return Vec::new();
        }
        let (shared, own) = self.split(xattrs);
        let mut out = vec![0; 4]; // name filter: not announced in the superblock
        out.push(u8::try_from(shared.len()).unwrap_or(u8::MAX));
        out.extend([0; 7]);
        out.extend(shared.iter().flat_map(|id| id.to_le_bytes()));
        own.into_iter().for_each(|xattr| encode_entry(xattr, &mut out));
        out
    }

    fn split<'a>(&self, xattrs: &'a [Xattr]) -> (Vec<u32>, Vec<&'a Xattr>) {
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        for xattr in xattrs {
            match self.ids.get(xattr) {
                Some(id) if shared.len() < MAX_SHARED => shared.push(*id),
                _ => own.push(xattr),
            }
        }
        (shared, own)
    }
}
