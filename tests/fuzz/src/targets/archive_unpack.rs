//! What `holm cp` unpacks of what comes out of a guest, and what the agent unpacks: below one directory, or in a root, and nothing
//! else on the host changes.

use std::fs::{self, File};
use std::io::Cursor;
use std::os::unix::fs::symlink;
use std::path::Path;

use holm_archive::{Destination, Keep, Source, TarReader, Unpacker};

use crate::Target;
use crate::images;
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "archive_unpack",
    run,
    seeds,
    max_bytes: 16384,
    code: &["archive/src/unpack/", "archive/src/read/"],
    words: &[&[
        "GNU.sparse.map=",
        "GNU.sparse.size=",
        "path=",
        "linkpath=",
        "SCHILY.xattr.",
        "ustar  \\x00",
        "../",
        "link/",
    ]],
};

/// An archive in memory.
struct Bytes(Cursor<Vec<u8>>);

impl std::io::Read for Bytes {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(out)
    }
}

impl std::io::BufRead for Bytes {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl Source for Bytes {}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.u8();
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::create_dir_all(at("in/d")).unwrap();
    fs::write(at("in/file"), "old").unwrap();
    fs::write(at("canary"), "untouched").unwrap();
    // What a user, or a container, has there: ways out.
    symlink(root.path(), at("in/link")).unwrap();
    symlink("../canary", at("in/d/up")).unwrap();
    let directory = File::open(at("in")).unwrap().into();
    let destination = match kind & 3 {
        0 => Destination::in_root(directory, Path::new("/d")),
        1 => Destination::in_root(directory, Path::new("/")),
        _ => Destination::beneath(directory),
    };
    // As the agent does, and as `holm cp` does.
    let keep = match (kind & 3, kind & 4) {
        (0 | 1, 0) => Keep::Everything,
        (_, 0) => Keep::Owners,
        _ => Keep::Contents,
    };
    let mut unpacker = Unpacker::new(destination, keep);
    if kind & 8 != 0 {
        unpacker = unpacker.only(b"d");
    }
    let mut tar = TarReader::new(Bytes(Cursor::new(images::sealed(input.rest()))));
    let _ = unpacker.unpack(&mut tar);
    assert_eq!(fs::read(at("canary")).unwrap(), b"untouched");
    let mut beside: Vec<_> =
        fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["canary", "in"], "something was made outside");
}

fn seeds() -> Vec<Vec<u8>> {
    let kinds = [0, 1, 2, 4, 6, 14];
    let layers = images::layers();
    kinds.iter().flat_map(|kind| layers.iter().map(|tar| Output::default().u8(*kind).bytes(tar).0)).collect()
}
