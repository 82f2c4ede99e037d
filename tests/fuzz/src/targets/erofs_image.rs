//! The EROFS writer: any tree, also one that no file system has, is written or refused, and read back as it was meant.

use holm_erofs::{Extent, Inode, InodeId, Kind, Layout, Metadata, Placement, Tree, Xattr};

use crate::Target;
use crate::disk::{BLOCK, Disk};
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "erofs_image",
    run,
    seeds,
    max_bytes: 4096,
    code: &["erofs/src/"],
    words: &[&["user.", "trusted.", "security.", "system.posix_acl_access", "system.posix_acl_default"]],
};

const MAX_BYTES: u64 = 4 << 20;
/// Files are read back block by block: not those of terabytes, of which all but a little is holes.
const MAX_READ_BYTES: u64 = 64 << 20;

/// What is added to a tree; any other number is the last one.
mod add {
    /// A directory.
    pub(super) const DIRECTORY: u8 = 0;
    /// A file: size, count of extents, extents.
    pub(super) const FILE: u8 = 1;
    /// A symbolic link: target.
    pub(super) const SYMLINK: u8 = 2;
    /// A device: major, minor.
    pub(super) const DEVICE: u8 = 3;
    /// A pipe.
    pub(super) const FIFO: u8 = 4;
    /// Another name of something: which.
    pub(super) const LINK: u8 = 5;
    /// How many there are.
    pub(super) const COUNT: u8 = 6;
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (metadata, xattrs) = (metadata(&mut input), xattrs(&mut input));
    let Ok(mut tree) = Tree::new(metadata, xattrs) else { return };
    let mut inodes = vec![Tree::ROOT];
    let mut names = 0;
    let mut content_bytes = 0_u64;
    while !input.is_empty() && inodes.len() < 500 {
        let kind = input.u8() % add::COUNT;
        let parent = which(&inodes, &mut input);
        let inode = if kind == add::LINK {
            which(&inodes, &mut input)
        } else {
            let kind = kind_of(kind, &mut input);
            let inode =
                Inode { metadata: self::metadata(&mut input), xattrs: self::xattrs(&mut input).into(), kind };
            let size_bytes = if let Kind::Regular { size_bytes, .. } = inode.kind { size_bytes } else { 0 };
            let Ok(inode) = tree.add(inode) else { continue };
            content_bytes = content_bytes.saturating_add(size_bytes);
            inodes.push(inode);
            inode
        };
        let name = match input.counted() {
            // Names that differ.
            b"" => {
                names += 1;
                format!("name {names}").into_bytes()
            }
            name => name.to_vec(),
        };
        let _ = tree.link(parent, &name, inode);
    }
    let Ok(layout) = Layout::plan(tree) else { return };
    if layout.bytes() > MAX_BYTES {
        return;
    }
    let mut image = Vec::new();
    let placement = Placement { data_start_block: layout.blocks(), uuid: [7; 16] };
    if layout.write(&mut image, placement).is_ok() {
        assert_eq!(image.len() as u64, layout.bytes());
        if content_bytes <= MAX_READ_BYTES {
            let _ = Disk(&image).tree();
        }
    }
    assert_eq!(image.len() % BLOCK, 0);
}

fn which(inodes: &[InodeId], input: &mut Input<'_>) -> InodeId {
    inodes[usize::from(input.u8()) % inodes.len()]
}

fn metadata(input: &mut Input<'_>) -> Metadata {
    match input.u8() {
        0 => Metadata { permissions: 0o755, ..Metadata::default() },
        _ => Metadata {
            permissions: input.u16(),
            uid: input.u32(),
            gid: input.u32(),
            mtime_seconds: input.u64().cast_signed(),
            mtime_nanoseconds: input.u32(),
        },
    }
}

fn xattrs(input: &mut Input<'_>) -> Vec<Xattr> {
    (0..input.u8() % 5)
        .map(|_| Xattr { name: input.counted().into(), value: input.counted().into() })
        .collect()
}

fn kind_of(kind: u8, input: &mut Input<'_>) -> Kind {
    match kind {
        add::DIRECTORY => Kind::Directory,
        add::FILE => {
            let size_bytes = input.u64();
            let extent = |input: &mut Input<'_>| Extent {
                file_block: input.u32(),
                data_block: input.u32(),
                blocks: input.u32(),
            };
            let count = input.u8() % 6;
            let extents: Vec<Extent> = (0..count).map(|_| extent(input)).collect();
            Kind::Regular { size_bytes, extents: extents.into() }
        }
        add::SYMLINK => Kind::Symlink { target: input.counted().into() },
        add::DEVICE => {
            let (major, minor) = (input.u32(), input.u32());
            if major & 1 == 0 {
                Kind::CharDevice { major, minor }
            } else {
                Kind::BlockDevice { major, minor }
            }
        }
        _ => Kind::Fifo,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    // The root: usual metadata, no attributes.
    let root = || Output::default().u8(0).u8(0);
    let plain = |output: Output, name: &[u8]| output.u8(0).u8(0).counted(name);
    let directory = |output: Output, parent: u8| plain(output.u8(add::DIRECTORY).u8(parent), b"");
    let file = |output: Output, size: u64, extents: &[(u32, u32, u32)]| {
        let output = output.u8(add::FILE).u8(0).u64(size).u8(extents.len() as u8);
        let output = extents
            .iter()
            .fold(output, |output, (file, data, blocks)| output.u32(*file).u32(*data).u32(*blocks));
        plain(output, b"")
    };
    let attributes =
        Output::default().u8(1).u16(0o4755).u32(70_000).u32(1).u64(u64::MAX).u32(999_999_999).u8(3);
    let attributes = attributes.counted(b"user.a").counted(b"b").counted(b"user.a").counted(b"");
    let attributes = attributes.counted(b"security.capability").counted(&[0; 20]);
    vec![
        root().0,
        attributes.0.clone(),
        file(file(root(), 0, &[]), 10_000, &[(0, 0, 3)]).0,
        file(file(root(), 50_000, &[(0, 0, 1), (5, 1, 2), (9, 3, 4)]), 8192, &[]).0,
        file(root(), 1 << 43, &[(0, 0, 1), (1 << 30, 1, 1)]).0,
        file(root(), u64::MAX, &[(u32::MAX, u32::MAX, u32::MAX)]).0,
        (0..200).fold(root(), |output, _| directory(output, 0)).0,
        (0..100).fold(root(), directory).0,
        directory(root(), 0).u8(add::LINK).u8(1).u8(0).counted(b"up").0,
        file(root(), 5, &[(0, 0, 1)]).u8(add::LINK).u8(0).u8(1).counted(b"again").0,
        plain(root().u8(add::SYMLINK).u8(0).counted(&[b'x'; 4095]), b"link").0,
        plain(root().u8(add::DEVICE).u8(0).u32(1).u32(3), b"null").0,
        plain(root().u8(add::FIFO).u8(0), &[b'n'; 255]).0,
        plain(root().u8(add::FIFO).u8(0), b"a/b").0,
        root().u8(add::DIRECTORY).u8(0).bytes(&attributes.0).counted(b"d").0,
    ]
}
