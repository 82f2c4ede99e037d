//! Tars, member by member, also such as no archiver would write.

/// A tar under construction.
#[derive(Clone, Default)]
pub(super) struct Tarball {
    bytes: Vec<u8>,
    pax: Vec<u8>,
}

/// A member's header.
#[derive(Clone)]
pub(super) struct Member<'a> {
    pub(super) path: &'a [u8],
    pub(super) kind: u8,
    pub(super) link: &'a [u8],
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) mtime: &'a [u8],
    pub(super) size: Option<&'a [u8]>,
    pub(super) device: (u32, u32),
    pub(super) data: &'a [u8],
}

impl Default for Member<'_> {
    fn default() -> Self {
        Self {
            path: b"",
            kind: b'0',
            link: b"",
            mode: 0o644,
            uid: 0,
            mtime: b"00000001750\0",
            size: None,
            device: (0, 0),
            data: b"",
        }
    }
}

impl Tarball {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn file(self, path: &str, data: &[u8]) -> Self {
        self.member(&Member { path: path.as_bytes(), data, ..Member::default() })
    }

    pub(super) fn directory(self, path: &str) -> Self {
        self.member(&Member { path: path.as_bytes(), kind: b'5', mode: 0o755, ..Member::default() })
    }

    pub(super) fn directory_mode(self, path: &str, mode: u32) -> Self {
        self.member(&Member { path: path.as_bytes(), kind: b'5', mode, ..Member::default() })
    }

    pub(super) fn symlink(self, path: &str, target: &str) -> Self {
        self.member(&Member {
            path: path.as_bytes(),
            kind: b'2',
            link: target.as_bytes(),
            mode: 0o777,
            ..Member::default()
        })
    }

    pub(super) fn hard_link(self, path: &str, target: &str) -> Self {
        self.member(&Member {
            path: path.as_bytes(),
            kind: b'1',
            link: target.as_bytes(),
            ..Member::default()
        })
    }

    /// A PAX record for the next member.
    pub(super) fn pax(mut self, key: &str, value: &[u8]) -> Self {
        let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let length = (body.len()..).find(|length| length - body.len() == length.to_string().len()).unwrap();
        self.pax.extend(length.to_string().into_bytes());
        self.pax.extend(body);
        self
    }

    /// A member in GNU's or PAX's format, with pending PAX records before it.
    pub(super) fn member(mut self, member: &Member<'_>) -> Self {
        if !self.pax.is_empty() {
            let data = std::mem::take(&mut self.pax);
            self = self.member(&Member { path: b"pax", kind: b'x', data: &data, ..Member::default() });
        }
        if member.path.len() > 100 {
            self = self.member(&Member {
                path: b"././@LongLink",
                kind: b'L',
                data: member.path,
                ..Member::default()
            });
        }
        if member.link.len() > 100 {
            self = self.member(&Member {
                path: b"././@LongLink",
                kind: b'K',
                data: member.link,
                ..Member::default()
            });
        }
        self.bytes.extend(header(member));
        self.raw(member.data)
    }

    /// Bytes padded to a block.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// With the two blocks that end an archive.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }

    /// As it is.
    pub(super) fn cut(self) -> Vec<u8> {
        self.bytes
    }
}

/// One of everything that a layer can have.
pub(super) fn one_of_everything() -> Vec<u8> {
    Tarball::new()
        .directory("d")
        .pax("mtime", b"1.5")
        .pax("SCHILY.xattr.user.a", b"b")
        .file("d/file", &[7; 700])
        .hard_link("d/link", "d/file")
        .symlink("s", "d")
        .file("s/through", b"x")
        .member(&Member { path: b"null", kind: b'3', device: (1, 3), ..Member::default() })
        .member(&Member { path: b"pipe", kind: b'6', ..Member::default() })
        .file("d/.wh.gone", b"")
        .pax("GNU.sparse.size", b"100000")
        .pax("GNU.sparse.map", b"0,5,70000,5")
        .file("sparse", b"0123456789")
        .file(&"long/".repeat(40), b"")
        .end()
}

pub(super) fn header(member: &Member<'_>) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |offset: usize, bytes: &[u8]| block[offset..][..bytes.len()].copy_from_slice(bytes);
    put(0, &member.path[..member.path.len().min(100)]);
    put(100, format!("{:07o}\0", member.mode).as_bytes());
    put(108, format!("{:07o}\0", member.uid).as_bytes());
    put(116, b"0000000\0");
    put(124, member.size.unwrap_or(format!("{:011o}\0", member.data.len()).as_bytes()));
    put(136, member.mtime);
    put(156, &[member.kind]);
    put(157, &member.link[..member.link.len().min(100)]);
    // With GNU's magic, nothing is a prefix to the path.
    put(257, b"ustar  \0");
    put(329, format!("{:07o}\0", member.device.0).as_bytes());
    put(337, format!("{:07o}\0", member.device.1).as_bytes());
    seal(&mut block);
    block
}

/// Fills the checksum in.
pub(super) fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
