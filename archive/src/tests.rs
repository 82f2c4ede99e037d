use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, getxattr, mknodat, setxattr};

use super::*;

fn node(path: &Path) -> Node {
    Node::of(File::open(path).unwrap().into()).unwrap()
}

fn packed(tree: &Path) -> Vec<u8> {
    let mut packer = Packer::new(Vec::new());
    packer.add_below(&node(tree), b"", |_| false).unwrap();
    packer.finish().unwrap()
}

fn unpack(tar: &[u8], into: &Path, keep: Keep) -> Result<(), UnpackError> {
    let destination = Destination::beneath(File::open(into).unwrap().into());
    Unpacker::new(destination, keep).unpack(&mut TarReader::new(tar))
}

/// An archive of members made by hand: path and kind; a file's contents are its path.
fn handmade(members: &[(&str, Kind)]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    let attributes = Attributes { mode: 0o644, ..Attributes::default() };
    for (path, kind) in members {
        writer.node(path.as_bytes(), kind, &attributes).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn a_tree_survives_the_journey() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = from.path();
    let deep = tree.join("a").join("d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "contents").unwrap();
    fs::hard_link(deep.join("file"), tree.join("again")).unwrap();
    symlink("l".repeat(200), tree.join("link")).unwrap();
    mknodat(CWD, tree.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    fs::set_permissions(deep.join("file"), fs::Permissions::from_mode(0o604)).unwrap();
    setxattr(deep.join("file"), "user.colour", b"gr\0en", XattrFlags::empty()).unwrap();
    let early = UNIX_EPOCH - Duration::new(1, 500_000_000);
    File::open(&deep).unwrap().set_times(FileTimes::new().set_modified(early)).unwrap();
    let late = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    File::open(deep.join("file")).unwrap().set_times(FileTimes::new().set_modified(late)).unwrap();

    unpack(&packed(tree), to.path(), Keep::Contents).unwrap();
    let arrived = to.path().join(deep.strip_prefix(tree).unwrap());
    assert_eq!(fs::read_to_string(arrived.join("file")).unwrap(), "contents");
    let (first, again) =
        (fs::metadata(arrived.join("file")).unwrap(), fs::metadata(to.path().join("again")).unwrap());
    assert_eq!((first.ino(), first.nlink(), first.mode() & 0o7777), (again.ino(), 2, 0o604));
    assert_eq!(first.modified().unwrap(), late);
    assert_eq!(fs::metadata(&arrived).unwrap().modified().unwrap(), early);
    assert_eq!(fs::read_link(to.path().join("link")).unwrap().as_os_str().len(), 200);
    assert_eq!(fs::metadata(to.path().join("pipe")).unwrap().mode(), 0o10640);
    let mut value = [0; 16];
    let length = getxattr(arrived.join("file"), "user.colour", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"gr\0en");
}

#[test]
fn holes_stay_holes() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sparse = File::create(from.path().join("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    sparse.write_all_at(b"middle", 500 << 20).unwrap();
    // Zeroes that were written, not left out.
    let mut zeroes = File::create(from.path().join("zeroes")).unwrap();
    zeroes.write_all(&[0; 100_000]).unwrap();
    zeroes.write_all(b"end").unwrap();
    let tar = packed(from.path());
    assert!(tar.len() < 1 << 20, "{} bytes", tar.len());
    unpack(&tar, to.path(), Keep::Contents).unwrap();
    let arrived = File::open(to.path().join("sparse")).unwrap();
    let mut middle = [0; 6];
    arrived.read_exact_at(&mut middle, 500 << 20).unwrap();
    assert_eq!((&middle, arrived.metadata().unwrap().len()), (b"middle", 1 << 30));
    assert!(arrived.metadata().unwrap().blocks() < 2048);
    let zeroes = fs::read(to.path().join("zeroes")).unwrap();
    assert!(
        zeroes.len() == 100_003 && zeroes.ends_with(b"\0end") && zeroes[..100_000].iter().all(|b| *b == 0)
    );
}

#[test]
fn other_tars_read_what_is_written() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sparse = File::create(from.path().join("sparse")).unwrap();
    sparse.set_len(4 << 20).unwrap();
    sparse.write_all_at(b"x", 3 << 20).unwrap();
    let long = from.path().join("d".repeat(150));
    fs::create_dir(&long).unwrap();
    fs::write(long.join("file"), "long").unwrap();
    let archive = to.path().join("a.tar");
    fs::write(&archive, packed(from.path())).unwrap();
    let done = std::process::Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(to.path()).output();
    let done = done.unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    let arrived = to.path().join("sparse");
    assert_eq!(fs::read(arrived).unwrap(), fs::read(from.path().join("sparse")).unwrap());
    assert_eq!(fs::read_to_string(to.path().join("d".repeat(150)).join("file")).unwrap(), "long");
}

#[test]
fn what_leads_out_is_refused() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("in");
    fs::create_dir(&inner).unwrap();
    fs::write(outer.path().join("secret"), "kept").unwrap();
    let link = |target: &str| Kind::Symlink(target.as_bytes().to_vec());
    let hard = |target: &str| Kind::HardLink(target.as_bytes().to_vec());
    for members in [
        vec![("../out", Kind::Regular)],
        vec![("a/../../out", Kind::Regular)],
        vec![("up", link("..")), ("up/out", Kind::Regular)],
        vec![("root", link("/")), ("root/out", Kind::Directory)],
        vec![("up", link("..")), ("up", Kind::Directory)],
        vec![("copy", hard("../secret"))],
        vec![("up", link("..")), ("copy", hard("up/secret"))],
        vec![("node", Kind::BlockDevice(8, 0))],
    ] {
        let result = unpack(&handmade(&members), &inner, Keep::Owners);
        assert!(result.is_err(), "{members:?}");
        assert!(!outer.path().join("out").exists(), "{members:?}");
        fs::remove_dir_all(&inner).unwrap();
        fs::create_dir(&inner).unwrap();
    }
    // A link that a file takes the place of is replaced, not written through.
    unpack(&handmade(&[("l", link("../secret")), ("l", Kind::Regular)]), &inner, Keep::Contents).unwrap();
    assert_eq!(fs::read_to_string(outer.path().join("secret")).unwrap(), "kept");
    assert!(fs::symlink_metadata(inner.join("l")).unwrap().is_file());
    // Absolute names count from the destination.
    unpack(&handmade(&[("/abs/file", Kind::Regular)]), &inner, Keep::Contents).unwrap();
    assert!(inner.join("abs/file").is_file());
}

#[test]
fn links_of_a_tree_lead_where_they_lead_in_it() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir_all(root.join("usr/lib")).unwrap();
    symlink("/usr/lib", root.join("lib")).unwrap();
    symlink("/../../usr", root.join("u")).unwrap();
    let destination = Destination::in_root(File::open(&root).unwrap().into(), Path::new("/"));
    let tar = handmade(&[("lib/one", Kind::Regular), ("u/two", Kind::Regular)]);
    Unpacker::new(destination, Keep::Contents).unpack(&mut TarReader::new(tar.as_slice())).unwrap();
    assert!(root.join("usr/lib/one").is_file() && root.join("usr/two").is_file());
}

#[test]
fn directories_and_files_do_not_replace_each_other() {
    let to = tempfile::tempdir().unwrap();
    fs::create_dir(to.path().join("dir")).unwrap();
    fs::write(to.path().join("file"), "").unwrap();
    let error = |path, kind| unpack(&handmade(&[(path, kind)]), to.path(), Keep::Contents).unwrap_err();
    assert!(matches!(error("dir", Kind::Regular), UnpackError::OverDirectory(_)));
    assert!(matches!(error("file", Kind::Directory), UnpackError::OverFile(_)));
    unpack(&handmade(&[("dir", Kind::Directory), ("file", Kind::Regular)]), to.path(), Keep::Contents)
        .unwrap();
}

#[test]
fn only_what_was_asked_for_is_made() {
    let to = tempfile::tempdir().unwrap();
    let destination = || Destination::beneath(File::open(to.path()).unwrap().into());
    let tar = handmade(&[("dir", Kind::Directory), ("dir/file", Kind::Regular), (".bashrc", Kind::Regular)]);
    let unpacker = Unpacker::new(destination(), Keep::Contents).only(b"dir");
    let error = unpacker.unpack(&mut TarReader::new(tar.as_slice())).unwrap_err();
    assert!(matches!(error, UnpackError::Unasked(name) if name == ".bashrc"));
    assert!(to.path().join("dir/file").exists() && !to.path().join(".bashrc").exists());
}

#[test]
fn nothing_that_gives_rights_is_kept_unless_asked_for() {
    let to = tempfile::tempdir().unwrap();
    let mut writer = TarWriter::new(Vec::new());
    let attributes = Attributes { mode: 0o6755, uid: 4711, gid: 4711, ..Attributes::default() };
    writer.node(b"tool", &Kind::Regular, &attributes).unwrap();
    unpack(&writer.finish().unwrap(), to.path(), Keep::Contents).unwrap();
    let tool = fs::metadata(to.path().join("tool")).unwrap();
    assert_eq!((tool.mode() & 0o7777, tool.uid()), (0o755, rustix::process::getuid().as_raw()));
}
