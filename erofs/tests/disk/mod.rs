//! An independent reader of what the writer made: follows the format description, shares no code with the crate.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr
)]

use std::collections::BTreeMap;

pub(crate) const BLOCK: usize = 4096;

/// A file as the reader found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: (i64, u32),
    pub(crate) links: u32,
    pub(crate) size_bytes: u64,
    pub(crate) device: u32,
    pub(crate) nid: u64,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Target of a symlink; blocks of a regular file (`None`: a hole).
    pub(crate) target: Vec<u8>,
    pub(crate) blocks: Vec<Option<u32>>,
}

pub(crate) struct Disk<'a>(pub(crate) &'a [u8]);

impl Disk<'_> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.0[at..at + 2].try_into().unwrap())
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    pub(crate) fn root_nid(&self) -> u64 {
        assert_eq!(self.u32(1024), 0xe0f5_e1e2);
        assert_eq!(self.0[1024 + 12], 12, "block size");
        u64::from(self.u16(1024 + 14))
    }

    #[allow(dead_code)] // not every user counts
    pub(crate) fn inodes(&self) -> u64 {
        self.u64(1024 + 16)
    }

    /// Every path with its file, `""` for the root. Checks `.`, `..`, the order of names, and types.
    pub(crate) fn tree(&self) -> BTreeMap<Vec<u8>, Found> {
        let mut all = BTreeMap::new();
        let mut pending = vec![(Vec::new(), self.root_nid(), self.root_nid())];
        while let Some((path, nid, parent)) = pending.pop() {
            let found = self.inode(nid);
            if found.mode & 0o170_000 == 0o040_000 {
                let entries = self.entries(nid);
                assert!(
                    entries.windows(2).all(|pair| pair[0].0 < pair[1].0),
                    "names of {path:?} are not sorted"
                );
                for (name, child, kind) in entries {
                    match name.as_slice() {
                        b"." => assert_eq!(child, nid),
                        b".." => assert_eq!(child, parent),
                        _ => {
                            let mut inner = path.clone();
                            inner.push(b'/');
                            inner.extend(&name);
                            let mode = self.inode(child).mode >> 12;
                            let expected = [(8, 1), (4, 2), (2, 3), (6, 4), (1, 5), (12, 6), (10, 7)];
                            assert!(expected.contains(&(mode, kind)) || (mode, kind) == (12, 6));
                            pending.push((inner, child, nid));
                        }
                    }
                }
            }
            all.insert(path, found);
        }
        all
    }

    pub(crate) fn inode(&self, nid: u64) -> Found {
        let at = nid as usize * 32;
        let format = self.u16(at);
        assert_eq!(format & 1, 1, "extended");
        let mode = self.u16(at + 4);
        let size_bytes = self.u64(at + 8);
        let address = self.u32(at + 16);
        let (xattr_bytes, xattrs) = self.xattrs(at + 64, self.u16(at + 2));
        let tail = at + 64 + xattr_bytes;
        let mut found = Found {
            mode,
            uid: self.u32(at + 24),
            gid: self.u32(at + 28),
            mtime: (self.u64(at + 32) as i64, self.u32(at + 40)),
            links: self.u32(at + 44),
            size_bytes,
            device: if matches!(mode >> 12, 2 | 6) { address } else { 0 },
            nid,
            xattrs,
            target: Vec::new(),
            blocks: Vec::new(),
        };
        let count = size_bytes.div_ceil(BLOCK as u64) as u32;
        match (mode >> 12, format >> 1) {
            (8, 0) => found.blocks = (0..count).map(|block| Some(address + block)).collect(),
            (8, 4) => {
                let bits = address & 0x1f;
                assert_eq!(address & !0x1f, 0, "block map, no indexes");
                found.blocks = (0..count)
                    .map(|block| match self.u32(tail + 4 * (block >> bits) as usize) {
                        u32::MAX => None,
                        start => Some(start + (block & ((1 << bits) - 1))),
                    })
                    .collect();
            }
            (10, 0) => found.target = self.0[address as usize * BLOCK..][..size_bytes as usize].to_vec(),
            (10, 2) => {
                assert_eq!(tail / BLOCK, (tail + size_bytes as usize - 1) / BLOCK, "tail crosses a block");
                found.target = self.0[tail..][..size_bytes as usize].to_vec();
            }
            (4, 0 | 2) | (1 | 2 | 6 | 12, 0) => {}
            other => panic!("layout {other:?}"),
        }
        found
    }

    fn xattrs(&self, at: usize, units: u16) -> (usize, BTreeMap<Vec<u8>, Vec<u8>>) {
        let mut all = BTreeMap::new();
        if units == 0 {
            return (0, all);
        }
        let bytes = 12 + 4 * (usize::from(units) - 1);
        let shared_area = self.u32(1024 + 44) as usize * BLOCK;
        let shared = usize::from(self.0[at + 4]);
        let mut places: Vec<usize> =
            (0..shared).map(|index| shared_area + 4 * self.u32(at + 12 + 4 * index) as usize).collect();
        let mut own = at + 12 + 4 * shared;
        while own < at + bytes {
            places.push(own);
            let length = 4 + usize::from(self.0[own]) + usize::from(self.u16(own + 2));
            own += length.next_multiple_of(4);
        }
        assert_eq!(own, at + bytes);
        for place in places {
            let (name_length, value_length) = (usize::from(self.0[place]), usize::from(self.u16(place + 2)));
            let prefix = match self.0[place + 1] {
                1 => "user.",
                2 => "system.posix_acl_access",
                3 => "system.posix_acl_default",
                4 => "trusted.",
                6 => "security.",
                other => panic!("namespace {other}"),
            };
            let name = [prefix.as_bytes(), &self.0[place + 4..][..name_length]].concat();
            let value = self.0[place + 4 + name_length..][..value_length].to_vec();
            assert!(all.insert(name, value).is_none());
        }
        (bytes, all)
    }

    fn entries(&self, nid: u64) -> Vec<(Vec<u8>, u64, u8)> {
        let at = nid as usize * 32;
        let layout = self.u16(at) >> 1;
        let size = self.u64(at + 8) as usize;
        let start = self.u32(at + 16) as usize * BLOCK;
        let tail = at + 64 + self.xattrs(at + 64, self.u16(at + 2)).0;
        let mut all = Vec::new();
        for offset in (0..size).step_by(BLOCK) {
            let length = BLOCK.min(size - offset);
            let last = offset + BLOCK >= size;
            let place = if last && layout == 2 { tail } else { start + offset };
            if last && layout == 2 {
                assert_eq!(place / BLOCK, (place + length - 1) / BLOCK, "tail crosses a block");
            }
            let block = &self.0[place..place + length];
            let name_offset = |index: usize| usize::from(self.u16(place + index * 12 + 8));
            let count = name_offset(0) / 12;
            for index in 0..count {
                let name = if index + 1 < count {
                    &block[name_offset(index)..name_offset(index + 1)]
                } else {
                    let rest = &block[name_offset(index)..];
                    &rest[..rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len())]
                };
                all.push((name.to_vec(), self.u64(place + index * 12), self.0[place + index * 12 + 10]));
            }
        }
        all
    }
}
