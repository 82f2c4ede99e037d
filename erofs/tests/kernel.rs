//! What others make of an image: `fsck.erofs` and Linux.
#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::panic)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use holm_erofs::{BLOCK_BYTES, Extent, Inode, InodeId, Kind, Layout, Metadata, Placement, Tree, Xattr};

const SPARSE_BYTES: u64 = (8 << 30) + 12_345;
const MANY: usize = 2_000;

fn metadata(permissions: u16) -> Metadata {
    Metadata {
        permissions,
        uid: 70_000,
        gid: 4_000_000_000,
        mtime_seconds: 1_234_567_890,
        mtime_nanoseconds: 123_456_789,
    }
}

fn inode(permissions: u16, kind: Kind) -> Inode {
    Inode { metadata: metadata(permissions), xattrs: vec![].into(), kind }
}

fn put(tree: &mut Tree, parent: InodeId, name: &[u8], inode: Inode) -> InodeId {
    let id = tree.add(inode).unwrap();
    tree.link(parent, name, id).unwrap();
    id
}

fn regular(size_bytes: u64, extents: &[Extent]) -> Kind {
    Kind::Regular { size_bytes, extents: extents.to_vec().into() }
}

fn pattern(block: u32) -> Vec<u8> {
    (0..BLOCK_BYTES).map(|byte| ((byte / 7) ^ (block * 31)) as u8).collect()
}

/// One of everything, on a disk of its own.
fn disk() -> File {
    let mut tree = Tree::new(metadata(0o755), vec![]).unwrap();
    let root = Tree::ROOT;
    let extent = |file_block, data_block, blocks| Extent { file_block, data_block, blocks };
    let flat = put(&mut tree, root, b"flat", inode(0o4755, regular(10_000, &[extent(0, 0, 3)])));
    tree.link(root, b"hard link", flat).unwrap();
    put(&mut tree, root, b"empty", inode(0o600, regular(0, &[])));
    put(&mut tree, root, b"hole", inode(0o600, regular(100_000, &[])));
    let pieces = [extent(0, 5, 1), extent(1, 3, 1), extent(5, 4, 1)];
    put(&mut tree, root, b"pieces", inode(0o644, regular(6 * 4096 - 1, &pieces)));
    let sparse = [extent(16, 6, 1), extent(2_097_152, 7, 3)];
    put(&mut tree, root, b"sparse", inode(0o644, regular(SPARSE_BYTES, &sparse)));
    put(&mut tree, root, b"link", inode(0o777, Kind::Symlink { target: b"../some/where".as_slice().into() }));
    put(&mut tree, root, b"long link", inode(0o777, Kind::Symlink { target: vec![b'x'; 4095].into() }));
    put(&mut tree, root, b"char", inode(0o666, Kind::CharDevice { major: 4095, minor: 1_048_575 }));
    put(&mut tree, root, b"block", inode(0o660, Kind::BlockDevice { major: 8, minor: 300 }));
    put(&mut tree, root, b"fifo", inode(0o600, Kind::Fifo));
    put(&mut tree, root, b"socket", inode(0o600, Kind::Socket));
    put(&mut tree, root, b"not utf-8 \xff\xfe", inode(0o1777, Kind::Directory));
    let many = put(&mut tree, root, b"many", inode(0o755, Kind::Directory));
    for index in 0..MANY {
        put(&mut tree, many, format!("{index:0>200}").as_bytes(), inode(0o600, regular(0, &[])));
    }
    put(&mut tree, many, b"!before the dots", inode(0o600, Kind::Fifo));
    let capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    for (name, value) in [("ping", b"once".as_slice()), ("ping2", b"twice")] {
        let xattr = |name: &str, value: &[u8]| Xattr { name: name.as_bytes().into(), value: value.into() };
        let xattrs = vec![
            xattr("security.capability", capability),
            xattr("user.text", value),
            xattr("user.large", &vec![b'v'; 9000]),
            xattr("trusted.secret", b""),
        ];
        put(
            &mut tree,
            root,
            name.as_bytes(),
            Inode { xattrs: xattrs.into(), ..inode(0o755, regular(0, &[])) },
        );
    }
    let mut deep = root;
    for _ in 0..300 {
        deep = put(&mut tree, deep, b"deep", inode(0o700, Kind::Directory));
    }

    let layout = Layout::plan(tree).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap().into_file();
    let mut out = std::io::BufWriter::new(&mut file);
    layout
        .write(&mut out, Placement { data_start_block: layout.blocks(), uuid: *b"0123456789abcdef" })
        .unwrap();
    out.flush().unwrap();
    drop(out);
    for block in 0..10 {
        file.write_all(&pattern(block)).unwrap();
    }
    file.seek(SeekFrom::Start(0)).unwrap();
    file
}

/// The name under which this process's children reach an open file.
fn path_of(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

/// `--extract` without a directory reads all data and writes nothing.
#[test]
fn fsck_finds_nothing() {
    let disk = disk();
    let output = Command::new("fsck.erofs").arg("--extract").arg(path_of(&disk)).output();
    let output = output.expect("fsck.erofs, of Debian's package erofs-utils");
    assert!(output.status.success(), "{output:?}");
}

struct Mounted(tempfile::TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn mount(disk: &File) -> Mounted {
    let directory = tempfile::tempdir().unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "erofs", "-o", "loop,ro"]).arg(path_of(disk)).arg(directory.path());
    let output = mount.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Mounted(directory)
}

/// Needs root, loop devices and a kernel that knows EROFS, so it runs with the end-to-end tests, where they are.
#[test]
fn linux_reads_it() {
    let disk = disk();
    let mounted = mount(&disk);
    let root = mounted.0.path();
    let stat = |name: &str| fs::symlink_metadata(root.join(name)).unwrap();

    let flat = stat("flat");
    assert_eq!((flat.mode(), flat.uid(), flat.gid()), (0o104_755, 70_000, 4_000_000_000));
    assert_eq!((flat.mtime(), flat.mtime_nsec()), (1_234_567_890, 123_456_789));
    assert_eq!((flat.nlink(), flat.ino()), (2, stat("hard link").ino()));
    let data: Vec<u8> = (0..3).flat_map(pattern).take(10_000).collect();
    assert!(fs::read(root.join("flat")).unwrap() == data);

    assert_eq!(fs::read(root.join("empty")).unwrap(), b"");
    assert!(fs::read(root.join("hole")).unwrap() == vec![0; 100_000]);
    let zeroes = vec![0; 3 * 4096];
    let pieces = [pattern(5), pattern(3), zeroes, pattern(4)].concat();
    assert!(fs::read(root.join("pieces")).unwrap() == pieces[..pieces.len() - 1]);

    assert_eq!(stat("sparse").size(), SPARSE_BYTES);
    let sparse = File::open(root.join("sparse")).unwrap();
    let mut block = vec![0; 4096];
    for (offset, data) in [(0, vec![0; 4096]), (16, pattern(6)), (17, vec![0; 4096]), (2_097_153, pattern(8))]
    {
        sparse.read_exact_at(&mut block, offset * 4096).unwrap();
        assert!(block == data, "block {offset}");
    }

    assert_eq!(fs::read_link(root.join("link")).unwrap(), Path::new("../some/where"));
    assert_eq!(fs::read_link(root.join("long link")).unwrap().as_os_str().len(), 4095);
    let device = |name: &str| (nix_major(stat(name).rdev()), nix_minor(stat(name).rdev()));
    assert!(stat("char").file_type().is_char_device() && stat("block").file_type().is_block_device());
    assert_eq!((device("char"), device("block")), ((4095, 1_048_575), (8, 300)));
    assert!(stat("fifo").file_type().is_fifo() && stat("socket").file_type().is_socket());
    let odd = fs::symlink_metadata(root.join(OsStr::from_bytes(b"not utf-8 \xff\xfe"))).unwrap();
    assert_eq!(odd.mode(), 0o041_777);

    let mut names: Vec<_> =
        fs::read_dir(root.join("many")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), MANY + 1);
    for name in names {
        fs::symlink_metadata(root.join("many").join(name)).unwrap();
    }
    assert!(fs::symlink_metadata(root.join("many/nothing")).is_err());

    for (name, text) in [("ping", "once"), ("ping2", "twice")] {
        let output = Command::new("getfattr")
            .args(["-d", "-m", "-", "--absolute-names"])
            .arg(root.join(name))
            .output()
            .expect("getfattr, of Debian's package attr");
        let said = String::from_utf8_lossy(&output.stdout);
        for part in [
            &format!("user.text=\"{text}\""),
            "security.capability=0sAQAAAgAgAAAAAAAAAAAAAAAAAAA=",
            "trusted.secret",
            &format!("user.large=\"{}\"", "v".repeat(9000)),
        ] {
            assert!(said.contains(part), "{part:.60} is missing in {said:.600}");
        }
    }

    let mut deep = root.to_owned();
    for _ in 0..300 {
        deep.push("deep");
    }
    assert_eq!(fs::symlink_metadata(&deep).unwrap().nlink(), 2);
    assert_eq!(fs::canonicalize(deep.join("..")).unwrap(), deep.parent().unwrap());
}

fn nix_major(device: u64) -> u64 {
    (device >> 8 & 0xfff) | (device >> 32 & !0xfff)
}

fn nix_minor(device: u64) -> u64 {
    (device & 0xff) | (device >> 12 & 0xffff_ff00)
}
