//! Shares: FUSE requests in any order with any content. Numbers of inodes and open files that the device told can be used in
//! later requests, so that programs get somewhere.
//!
//! Beside the shared directories lies a secret: it must neither change nor be told, and nothing else may appear there. Nothing of
//! the read-only share changes.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use holm_protocol::vm_config::ShareConfig;
use holm_vmm::devices::virtio::fs::Fs;

use crate::Target;
use crate::guest::{Guest, Part, SeedPart, hostile};
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "fs_requests",
    run,
    seeds,
    max_bytes: 4096,
    code: &["vmm/src/devices/virtio/fs/"],
    words: &[],
};

const SECRET: &[u8] = b"\xf7the host's own words\xf7";
const REQUESTS: usize = 1;
const IN_HEADER_BYTES: usize = 40;
const OUT_HEADER_BYTES: usize = 16;

/// In place of a step of [`Guest`]: a request.
const REQUEST: u8 = 0;

/// What a field of a request is.
mod field {
    /// Bytes as they are.
    pub(super) const BYTES: u8 = 0;
    /// A number of an inode: which of those that were told.
    pub(super) const NODE: u8 = 1;
    /// A number of an open file: which of those that were told.
    pub(super) const HANDLE: u8 = 2;
    /// A name, with its end: which of [`super::NAMES`].
    pub(super) const NAME: u8 = 3;
    /// Zeroes.
    pub(super) const ZEROES: u8 = 4;
    /// How many there are.
    pub(super) const COUNT: u8 = 5;
}

const NAMES: [&str; 16] = [
    "0",
    "1",
    "2",
    "file",
    "sub",
    "link",
    "other",
    "new",
    "secret",
    "..",
    ".",
    "",
    "../secret",
    "sub/file",
    "user.x",
    "security.capability",
];

/// A directory `rw`, one `ro`, and a secret beside them.
fn tree(root: &Path) {
    for share in ["rw", "ro"] {
        let share = root.join(share);
        fs::create_dir_all(share.join("sub")).unwrap();
        fs::write(share.join("file"), "hello").unwrap();
        fs::write(share.join("other"), "other").unwrap();
        symlink("../secret", share.join("link")).unwrap();
    }
    fs::write(root.join("secret"), SECRET).unwrap();
}

/// Names, sizes, modes and contents of a directory and of all below it.
fn picture(directory: &Path) -> Vec<(String, u32, u64, Vec<u8>)> {
    let mut all = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let status = fs::symlink_metadata(&path).unwrap();
        let content = if status.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        all.push((path.display().to_string(), status.mode(), status.len(), content));
        if status.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

/// What the device told.
struct Told {
    nodes: Vec<u64>,
    handles: Vec<u64>,
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let features = input.u64();
    let root = tempfile::tempdir().unwrap();
    tree(root.path());
    let directory = |name: &str| root.path().join(name);
    let shares = [
        ShareConfig { directory: directory("rw"), only: None, read_only: false },
        ShareConfig { directory: directory("ro"), only: None, read_only: true },
        ShareConfig { directory: directory("rw"), only: Some("file".to_owned()), read_only: false },
    ];
    let before = picture(&directory("ro"));
    let mut guest = Guest::new(Fs::new(&shares).unwrap(), features);
    let mut told =
        Told { nodes: vec![1, 1 << 44 | 1, 2 << 44 | 1, 3 << 44 | 1, 3 << 44 | 2], handles: Vec::new() };
    while !input.is_empty() {
        // One in eight is a step of any other kind.
        if input.u8() % 8 == REQUEST + 7 {
            guest.step(&mut input, &mut |_| {});
        } else {
            request(&mut guest, &mut told, &mut input);
        }
    }
    guest.finish();
    assert_eq!(fs::read(directory("secret")).unwrap(), SECRET, "what is outside of the shares was written");
    assert!(before == picture(&directory("ro")), "a read-only share was written");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3, "something appeared beside the shares");
}

fn request(guest: &mut Guest, told: &mut Told, input: &mut Input<'_>) {
    let (opcode, node, user, room) = (input.u8(), input.u8(), input.u8(), input.u16());
    let node = told.nodes[usize::from(node) % told.nodes.len()];
    let mut body = Vec::new();
    for _ in 0..input.u8() % 8 {
        match input.u8() % field::COUNT {
            field::BYTES => body.extend(input.counted()),
            field::NODE => body.extend(told.nodes[usize::from(input.u8()) % told.nodes.len()].to_le_bytes()),
            field::HANDLE => {
                let which = usize::from(input.u8()).checked_rem(told.handles.len()).unwrap_or(0);
                body.extend(told.handles.get(which).copied().unwrap_or_default().to_le_bytes());
            }
            field::NAME => {
                body.extend(NAMES[usize::from(input.u8()) % NAMES.len()].bytes());
                body.push(0);
            }
            _ => body.resize(body.len() + usize::from(input.u8()), 0),
        }
    }
    // Root, a user, the one who is nobody, the one who is none.
    let user = [0, 1000, 65_534, u32::MAX][usize::from(user % 4)];
    let length = (IN_HEADER_BYTES + body.len()) as u32;
    let header =
        Output::default().u32(length).u32(opcode.into()).u64(7).u64(node).u32(user).u32(user).u64(0).0;
    let room = guest.room(room);
    let parts: Vec<Part> = vec![guest.data(&header), guest.data(&body), room];
    guest.chain(REQUESTS, &parts, false);
    let answer = guest.read(room.address, room.length as usize);
    assert!(!answer.windows(SECRET.len()).any(|part| part == SECRET), "the secret was told");
    note(told, opcode, &answer);
}

/// Takes note of the numbers in an answer.
fn note(told: &mut Told, opcode: u8, answer: &[u8]) {
    const LOOKUP: u8 = 1;
    let mut answer = Input::new(answer);
    let length = answer.u32() as usize;
    let (error, _) = (answer.u32(), answer.u64());
    if error != 0 || length <= OUT_HEADER_BYTES || told.nodes.len() + told.handles.len() > 200 {
        return;
    }
    match opcode {
        LOOKUP | 6 | 8 | 9 | 13 => told.nodes.push(answer.u64()),
        14 | 27 => told.handles.push(answer.u64()),
        // CREATE and TMPFILE: an entry of 128 bytes, and what OPEN says.
        35 | 51 => {
            told.nodes.push(answer.u64());
            answer.bytes(120);
            told.handles.push(answer.u64());
        }
        _ => {}
    }
}

/// A request, for seeds.
fn asked(output: Output, opcode: u8, node: u8, fields: &[Field<'_>]) -> Output {
    let mut output = output.u8(REQUEST).u8(opcode).u8(node).u8(0).u16(512).u8(fields.len() as u8);
    for field in fields {
        output = match field {
            Field::Bytes(bytes) => output.u8(field::BYTES).counted(bytes),
            Field::Node(which) => output.u8(field::NODE).u8(*which),
            Field::Handle(which) => output.u8(field::HANDLE).u8(*which),
            Field::Name(name) => {
                let which = NAMES.iter().position(|known| known == name).unwrap();
                output.u8(field::NAME).u8(which as u8)
            }
            Field::Zeroes(count) => output.u8(field::ZEROES).u8(*count),
        };
    }
    output
}

enum Field<'a> {
    Bytes(&'a [u8]),
    Node(u8),
    Handle(u8),
    Name(&'a str),
    Zeroes(u8),
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    use Field::{Bytes, Handle, Name, Node, Zeroes};
    // Places among the numbers that are told: those of shares are there from the beginning.
    const RW: u8 = 1;
    const RO: u8 = 2;
    const ONLY: u8 = 4;
    const FILE: u8 = 5;
    let start = || {
        let init = words(&[7, 40, 1 << 20, u32::MAX]);
        asked(Output::default().u64(u64::MAX), 26, 0, &[Bytes(&init), Zeroes(48)])
    };
    let read_write = words(&[2, 0]);
    // A file of the share is looked up and opened; then one request.
    let with_file = |share: u8, opcode: u8, fields: &[Field<'_>]| {
        let output = asked(start(), 1, share, &[Name("file")]);
        let output = asked(output, 14, FILE, &[Bytes(&read_write)]);
        asked(output, opcode, FILE, fields).0
    };
    let with_directory = |opcode: u8, fields: &[Field<'_>]| {
        let output = asked(start(), 27, RW, &[Zeroes(8)]);
        asked(output, opcode, RW, fields).0
    };
    let size = |bytes: u32| words(&[bytes]);
    let mut seeds = Vec::new();
    for share in [RW, RO] {
        // READ, WRITE, FLUSH, RELEASE, FSYNC, FALLOCATE, LSEEK, GETATTR, SETATTR, GETLK, SETLK, SETLKW.
        seeds.push(with_file(share, 15, &[Handle(0), Zeroes(8), Bytes(&size(100)), Zeroes(20)]));
        seeds.push(with_file(share, 16, &[Handle(0), Zeroes(8), Bytes(&size(3)), Zeroes(20), Bytes(b"new")]));
        for opcode in [25, 18, 20] {
            seeds.push(with_file(share, opcode, &[Handle(0), Zeroes(16)]));
        }
        seeds.push(with_file(share, 43, &[Handle(0), Zeroes(8), Bytes(&size(100)), Zeroes(12)]));
        seeds.push(with_file(share, 46, &[Handle(0), Zeroes(8), Bytes(&size(3)), Zeroes(4)]));
        seeds.push(with_file(share, 3, &[Zeroes(8), Handle(0)]));
        let valid = words(&[1 | 2 | 4 | 8, 0]);
        seeds.push(with_file(share, 4, &[Bytes(&valid), Handle(0), Bytes(&words(&[3])), Zeroes(68)]));
        let lock = [words(&[5, 0, 0, 0, 0, 0]), u64::MAX.to_le_bytes().to_vec()].concat();
        for opcode in [31, 32, 33] {
            for (kind, flags) in [(0, 0), (1, 0), (2, 0), (1, 1)] {
                let rest = words(&[kind, 0, flags, 0]);
                let range = [&lock[..16], &(i64::MAX).to_le_bytes()].concat();
                seeds.push(with_file(share, opcode, &[Handle(0), Bytes(&range), Bytes(&rest)]));
            }
        }
        // Extended attributes: SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR.
        seeds.push(with_file(share, 21, &[Bytes(&words(&[2, 0])), Name("user.x"), Bytes(b"ab")]));
        seeds.push(with_file(share, 22, &[Bytes(&words(&[100, 0])), Name("user.x")]));
        seeds.push(with_file(share, 23, &[Bytes(&words(&[100, 0]))]));
        seeds.push(with_file(share, 24, &[Name("user.x")]));
        // Names that come, move and go.
        let parent = |opcode, fields: &[Field<'_>]| asked(start(), opcode, share, fields).0;
        for name in NAMES {
            seeds.push(parent(1, &[Name(name)]));
        }
        seeds.push(parent(6, &[Name("new"), Name("../secret")]));
        seeds.push(parent(8, &[Bytes(&words(&[0o100_644, 0, 0, 0])), Name("new")]));
        seeds.push(parent(8, &[Bytes(&words(&[0o060_644, 8, 0, 0])), Name("new")]));
        seeds.push(parent(9, &[Bytes(&words(&[0o755, 0])), Name("new")]));
        seeds.push(parent(10, &[Name("other")]));
        seeds.push(parent(11, &[Name("sub")]));
        seeds.push(parent(12, &[Node(share), Name("file"), Name("new")]));
        seeds.push(parent(45, &[Node(share), Bytes(&words(&[2, 0])), Name("file"), Name("other")]));
        seeds.push(parent(35, &[Bytes(&words(&[2, 0o644, 0o022, 0])), Name("new")]));
        seeds.push(parent(51, &[Bytes(&words(&[2, 0o644, 0o022, 0])), Name("new")]));
        seeds.push(parent(17, &[]));
        let linked = asked(start(), 1, share, &[Name("file")]);
        seeds.push(asked(linked, 13, share, &[Node(FILE), Name("new")]).0);
        let link = asked(start(), 1, share, &[Name("link")]);
        let link = asked(link, 5, FILE, &[]);
        seeds.push(asked(link, 14, FILE, &[Bytes(&read_write)]).0);
        let sub = asked(start(), 1, share, &[Name("sub")]);
        let sub = asked(sub, 35, FILE, &[Bytes(&words(&[2, 0o600, 0, 0])), Name("new")]);
        seeds.push(asked(sub, 12, FILE, &[Node(share), Name("new"), Name("file")]).0);
        // FORGET, BATCH_FORGET, INTERRUPT.
        let forgotten = asked(start(), 1, share, &[Name("file")]);
        let forgotten = asked(forgotten, 2, FILE, &[Bytes(&words(&[1, 0]))]);
        seeds.push(asked(forgotten, 3, FILE, &[Zeroes(16)]).0);
        let batch = asked(start(), 1, share, &[Name("file")]);
        seeds.push(asked(batch, 42, 0, &[Bytes(&words(&[1, 0])), Node(FILE), Bytes(&words(&[9, 0]))]).0);
        seeds.push(asked(start(), 36, 0, &[Bytes(&words(&[7, 0]))]).0);
    }
    // WATCH (of a directory, of a file, of all that there is) and CHANGES, with changes of the guest's own meanwhile.
    let kinds = words(&[0xfff, 0]);
    for watched in [RW, RO, ONLY] {
        let watch = asked(start(), 240, watched, &[Bytes(&kinds)]);
        let listen = asked(watch, 241, 0, &[]);
        let made = asked(listen, 35, RW, &[Bytes(&words(&[2, 0o644, 0o022, 0])), Name("new")]);
        let moved = asked(made, 12, RW, &[Node(RW), Name("other"), Name("file")]);
        let again = asked(moved, 241, 0, &[]);
        seeds.push(asked(again, 240, watched, &[Zeroes(8)]).0);
    }
    let file = asked(start(), 1, RW, &[Name("file")]);
    let file = asked(file, 240, FILE, &[Bytes(&kinds)]);
    let file = asked(file, 10, RW, &[Name("file")]);
    seeds.push(asked(file, 2, FILE, &[Bytes(&words(&[1, 0]))]).0);
    for opcode in [28, 44] {
        seeds.push(with_directory(opcode, &[Handle(0), Zeroes(8), Bytes(&size(500)), Zeroes(20)]));
    }
    for opcode in [29, 30] {
        seeds.push(with_directory(opcode, &[Handle(0), Zeroes(16)]));
    }
    let only = asked(start(), 14, ONLY, &[Bytes(&read_write)]);
    seeds.push(asked(only, 15, ONLY, &[Handle(0), Zeroes(8), Bytes(&size(100)), Zeroes(20)]).0);
    seeds.push(asked(start(), 38, 0, &[]).0);
    // Every number that a request can have.
    let all = (0..60).fold(start(), |output, opcode| asked(output, opcode, RW, &[Zeroes(64)]));
    seeds.push(all.0);
    // Requests that are none, and queues that are none.
    let raw = Output::default().u64(u64::MAX).u8(7);
    seeds.push(raw.clone().chain(1, &[SeedPart::Data(&[0; 39]), SeedPart::Room(16)]).0);
    seeds.push(raw.chain(0, &[SeedPart::Data(&[0; 40]), SeedPart::Room(15)]).0);
    for seed in hostile(&Output::default(), 2) {
        // Each step of another kind behind the byte that says so: good enough for the first one.
        seeds.push([&u64::MAX.to_le_bytes()[..], &[7], &seed].concat());
    }
    seeds
}
