//! Any tree that the writer accepts reads back as it was.
#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod disk;

use std::collections::BTreeMap;

use disk::{BLOCK, Disk, Found};
use holm_erofs::{Error, Extent, Inode, InodeId, Kind, Layout, Metadata, Placement, Tree, Xattr};
use proptest::prelude::*;

fn write(tree: Tree, data_start_block: u32) -> Vec<u8> {
    let layout = Layout::plan(tree).unwrap();
    let mut out = Vec::new();
    layout.write(&mut out, Placement { data_start_block, uuid: [7; 16] }).unwrap();
    assert_eq!(out.len() as u64, layout.bytes());
    let mut again = Vec::new();
    layout.write(&mut again, Placement { data_start_block, uuid: [7; 16] }).unwrap();
    assert!(out == again, "the same tree gave other bytes");
    out
}

fn plain(kind: Kind) -> Inode {
    Inode { metadata: Metadata { permissions: 0o644, ..Metadata::default() }, xattrs: vec![].into(), kind }
}

fn xattr(name: &str, value: &[u8]) -> Xattr {
    Xattr { name: name.as_bytes().into(), value: value.into() }
}

/// A model of a tree: what was put in, to compare with what comes out.
#[derive(Clone, Debug)]
struct Item {
    name: Vec<u8>,
    /// Which of the directories made so far it goes into, and for hard links which file it is.
    choice: usize,
    kind: ItemKind,
    metadata: Metadata,
    xattrs: Vec<Xattr>,
}

#[derive(Clone, Debug)]
enum ItemKind {
    HardLink,
    Inode(Kind),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("not in names", |byte| !matches!(byte, 0 | b'/'));
    prop_oneof![
        9 => prop::collection::vec(byte.clone(), 1..20),
        1 => prop::collection::vec(byte, 200..=255),
    ]
    .prop_filter("dots", |name| name != b"." && name != b"..")
}

fn regular() -> impl Strategy<Value = Kind> {
    (prop::collection::vec((0..5_u32, 1..9_u32, any::<bool>()), 0..6), 0..4096_u64, 0..3_u32).prop_map(
        |(runs, short_bytes, end_hole)| {
            let (mut file_block, mut data_block, mut extents) = (0, 0, Vec::new());
            for (gap, blocks, apart) in runs {
                file_block += gap;
                data_block += u32::from(apart);
                extents.push(Extent { file_block, data_block, blocks });
                file_block += blocks;
                data_block += blocks;
            }
            let blocks = u64::from(file_block + end_hole);
            let size_bytes =
                (blocks * BLOCK as u64).saturating_sub(if end_hole == 0 { short_bytes } else { 0 });
            Kind::Regular { size_bytes, extents: extents.into() }
        },
    )
}

fn kind() -> impl Strategy<Value = ItemKind> {
    let inode = prop_oneof![
        4 => Just(Kind::Directory),
        6 => regular(),
        2 => prop::collection::vec(1..=255_u8, 1..60).prop_map(|target| Kind::Symlink { target: target.into() }),
        1 => prop::collection::vec(1..=255_u8, 4000..=4095).prop_map(|target| Kind::Symlink { target: target.into() }),
        1 => (0..=0xfff_u32, 0..=0xf_ffff_u32).prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        1 => (0..=0xfff_u32, 0..=0xf_ffff_u32).prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
        1 => prop_oneof![Just(Kind::Fifo), Just(Kind::Socket)],
    ];
    prop_oneof![6 => inode.prop_map(ItemKind::Inode), 1 => Just(ItemKind::HardLink)]
}

fn xattrs() -> impl Strategy<Value = Vec<Xattr>> {
    let value = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..3),
        2 => prop::collection::vec(any::<u8>(), 0..300),
        1 => prop::collection::vec(any::<u8>(), 5000..9000),
    ];
    let name = prop_oneof![
        Just("user.a"),
        Just("user.much longer than the others"),
        Just("trusted.b"),
        Just("security.capability"),
        Just("system.posix_acl_access"),
        Just("system.posix_acl_default"),
    ];
    prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::btree_map(name, value, 0..4).prop_map(|all| {
            all.into_iter().map(|(name, value)| xattr(name, &value)).collect()
        }),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    let metadata = (0..=0o7777_u16, any::<u32>(), any::<u32>(), any::<i64>(), 0..1_000_000_000_u32);
    (name(), any::<usize>(), kind(), metadata, xattrs()).prop_map(
        |(name, choice, kind, (permissions, uid, gid, mtime_seconds, mtime_nanoseconds), xattrs)| Item {
            name,
            choice,
            kind,
            metadata: Metadata { permissions, uid, gid, mtime_seconds, mtime_nanoseconds },
            xattrs,
        },
    )
}

fn mode_of(kind: &Kind) -> u16 {
    match kind {
        Kind::Directory => 0o040_000,
        Kind::Regular { .. } => 0o100_000,
        Kind::Symlink { .. } => 0o120_000,
        Kind::CharDevice { .. } => 0o020_000,
        Kind::BlockDevice { .. } => 0o060_000,
        Kind::Fifo => 0o010_000,
        Kind::Socket => 0o140_000,
    }
}

fn compare(found: &Found, inode: &Inode, data_start: u32) {
    let metadata = inode.metadata;
    assert_eq!(found.mode, mode_of(&inode.kind) | metadata.permissions);
    assert_eq!((found.uid, found.gid), (metadata.uid, metadata.gid));
    assert_eq!(found.mtime, (metadata.mtime_seconds, metadata.mtime_nanoseconds));
    let xattrs: BTreeMap<_, _> = inode.xattrs.iter().map(|x| (x.name.to_vec(), x.value.to_vec())).collect();
    assert_eq!(found.xattrs, xattrs);
    match &inode.kind {
        Kind::Regular { size_bytes, extents } => {
            assert_eq!(found.size_bytes, *size_bytes);
            let mut blocks = vec![None; size_bytes.div_ceil(BLOCK as u64) as usize];
            for extent in extents {
                for block in 0..extent.blocks {
                    blocks[(extent.file_block + block) as usize] =
                        Some(data_start + extent.data_block + block);
                }
            }
            assert_eq!(found.blocks, blocks);
        }
        Kind::Symlink { target } => assert_eq!(&found.target, &target.to_vec()),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            let device = (minor & 0xff) | (major << 8) | ((minor >> 8) << 20);
            assert_eq!(found.device, device);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_tree_reads_back(items in prop::collection::vec(item(), 0..120), data_start in 0..1_000_000_u32) {
        let mut tree = Tree::new(Metadata::default(), vec![]).unwrap();
        let mut directories = vec![(Vec::new(), Tree::ROOT)];
        let mut files: Vec<(InodeId, Inode)> = Vec::new();
        let mut expected: BTreeMap<Vec<u8>, (InodeId, Inode)> = BTreeMap::new();
        for item in items {
            let (parent_path, parent) = directories[item.choice % directories.len()].clone();
            let path = [parent_path.as_slice(), b"/", &item.name].concat();
            if expected.contains_key(&path) {
                continue;
            }
            let (id, inode) = match item.kind {
                ItemKind::HardLink if files.is_empty() => continue,
                ItemKind::HardLink => files[item.choice % files.len()].clone(),
                ItemKind::Inode(kind) => {
                    let inode = Inode { metadata: item.metadata, xattrs: item.xattrs.into(), kind };
                    (tree.add(inode.clone()).unwrap(), inode)
                }
            };
            if inode.kind == Kind::Directory {
                directories.push((path.clone(), id));
            } else {
                files.push((id, inode.clone()));
            }
            tree.link(parent, &item.name, id).unwrap();
            expected.insert(path, (id, inode));
        }
        let bytes = write(tree, data_start);
        let found = Disk(&bytes).tree();
        prop_assert_eq!(found.len(), expected.len() + 1);
        let mut nids = BTreeMap::new();
        for (path, (id, inode)) in &expected {
            let file = &found[path];
            compare(file, inode, data_start);
            prop_assert_eq!(*nids.entry(*id).or_insert(file.nid), file.nid, "hard links share an inode");
            let links = if inode.kind == Kind::Directory {
                let inner = [path.as_slice(), b"/"].concat();
                let below = expected.iter().filter(|(other, (_, inode))| {
                    inode.kind == Kind::Directory
                        && other.strip_prefix(inner.as_slice()).is_some_and(|rest| !rest.contains(&b'/'))
                });
                2 + below.count()
            } else {
                expected.values().filter(|(other, _)| other == id).count()
            };
            prop_assert_eq!(file.links as usize, links);
        }
        prop_assert_eq!(Disk(&bytes).inodes() as usize, nids.len() + 1);
    }
}

#[test]
fn the_order_of_insertion_does_not_matter() {
    let build = |names: &[&[u8]]| {
        let mut tree = Tree::new(Metadata::default(), vec![]).unwrap();
        for name in names {
            let file = tree.add(plain(Kind::Fifo)).unwrap();
            tree.link(Tree::ROOT, name, file).unwrap();
        }
        write(tree, 0)
    };
    assert!(build(&[b"a", b"!", b"\xff"]) == build(&[b"\xff", b"a", b"!"]));
}

#[test]
fn a_shared_xattr_is_stored_once() {
    let value = vec![0x5a; 3000];
    let mut tree = Tree::new(Metadata::default(), vec![]).unwrap();
    for index in 0..50 {
        let inode = Inode { xattrs: vec![xattr("user.same", &value)].into(), ..plain(Kind::Fifo) };
        let file = tree.add(inode).unwrap();
        tree.link(Tree::ROOT, format!("{index}").as_bytes(), file).unwrap();
    }
    let bytes = write(tree, 0);
    assert!(bytes.len() < 5 * BLOCK, "{} bytes", bytes.len());
    assert!(
        Disk(&bytes).tree().values().filter(|file| file.xattrs.values().any(|v| *v == value)).count() == 50
    );
}

#[test]
fn a_chain_of_directories_of_any_depth() {
    let mut tree = Tree::new(Metadata::default(), vec![]).unwrap();
    let mut parent = Tree::ROOT;
    for _ in 0..200_000 {
        let child = tree.add(plain(Kind::Directory)).unwrap();
        tree.link(parent, b"d", child).unwrap();
        parent = child;
    }
    let bytes = write(tree, 0);
    assert_eq!(Disk(&bytes).inodes(), 200_001);
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let mut tree = Tree::new(Metadata::default(), vec![]).unwrap();
    let regular = |size_bytes, extents: &[Extent]| {
        plain(Kind::Regular { size_bytes, extents: extents.to_vec().into() })
    };
    let extent = |file_block, blocks| Extent { file_block, data_block: 0, blocks };
    let with = |name: &str, value: usize| Inode {
        xattrs: vec![xattr(name, &vec![0; value])].into(),
        ..plain(Kind::Fifo)
    };
    assert!(matches!(tree.add(regular(1 << 44, &[])), Err(Error::FileSize(_))));
    assert!(matches!(tree.add(regular(u64::MAX, &[])), Err(Error::FileSize(_))));
    assert!(matches!(tree.add(regular(4096, &[extent(0, 2)])), Err(Error::Extent(0))));
    assert!(matches!(tree.add(regular(9999, &[extent(1, 1), extent(1, 1)])), Err(Error::Extent(1))));
    assert!(matches!(tree.add(regular(9999, &[extent(1, 0)])), Err(Error::Extent(1))));
    assert!(matches!(tree.add(regular(9999, &[extent(u32::MAX, u32::MAX)])), Err(Error::Extent(_))));
    assert!(matches!(tree.add(plain(Kind::Symlink { target: vec![].into() })), Err(Error::SymlinkTarget(0))));
    let device = Kind::CharDevice { major: 4096, minor: 0 };
    assert!(matches!(tree.add(plain(device)), Err(Error::DeviceNumber { .. })));
    assert!(matches!(tree.add(with("btrfs.x", 0)), Err(Error::XattrNamespace(_))));
    assert!(matches!(tree.add(with("user.", 0)), Err(Error::XattrName(_))));
    assert!(matches!(tree.add(with("user.a", 65_536)), Err(Error::XattrValue { .. })));
    let twice =
        Inode { xattrs: vec![xattr("user.a", b"1"), xattr("user.a", b"2")].into(), ..plain(Kind::Fifo) };
    assert!(matches!(tree.add(twice), Err(Error::DuplicateXattr(name)) if name == b"user.a"));
    let many: Vec<_> = (0..5).map(|index| xattr(&format!("user.{index}"), &vec![0; 65_535])).collect();
    let many = Inode { xattrs: many.into(), ..plain(Kind::Fifo) };
    assert!(matches!(tree.add(many), Err(Error::XattrsTooLarge(_))));
    let file = tree.add(plain(Kind::Fifo)).unwrap();
    let directory = tree.add(plain(Kind::Directory)).unwrap();
    for name in [b"".as_slice(), b".", b"..", b"a/b", b"a\0", &[b'x'; 256]] {
        assert!(matches!(tree.link(Tree::ROOT, name, file), Err(Error::Name(_))));
    }
    assert!(matches!(tree.link(file, b"x", directory), Err(Error::NotADirectory)));
    tree.link(Tree::ROOT, b"x", directory).unwrap();
    assert!(matches!(tree.link(Tree::ROOT, b"y", directory), Err(Error::DirectoryLinkedTwice)));
    assert!(matches!(tree.link(directory, b"y", Tree::ROOT), Err(Error::DirectoryLinkedTwice)));
    tree.link(Tree::ROOT, b"x", file).unwrap();
    assert!(matches!(Layout::plan(tree), Err(Error::DuplicateName(name)) if name == b"x"));
}

#[test]
fn data_beyond_32_bit_block_addresses_are_refused() {
    let mut tree = Tree::new(Metadata::default(), vec![]).unwrap();
    let extents = vec![Extent { file_block: 0, data_block: 1000, blocks: 1 }].into();
    let file = tree.add(plain(Kind::Regular { size_bytes: 1, extents })).unwrap();
    tree.link(Tree::ROOT, b"f", file).unwrap();
    let layout = Layout::plan(tree).unwrap();
    let placement = |data_start_block| Placement { data_start_block, uuid: [0; 16] };
    assert!(layout.write(&mut std::io::sink(), placement(u32::MAX - 1002)).is_ok());
    assert!(matches!(
        layout.write(&mut std::io::sink(), placement(u32::MAX - 1001)),
        Err(Error::DataTooFar(_))
    ));
}
