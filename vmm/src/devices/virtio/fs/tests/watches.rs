//! What is watched, and what the guest is told of changes.

use rustix::fs::inotify::WatchFlags;

use super::*;

/// What a watch of inotify(7) asks for usually, also what nobody is told.
const EVERYTHING: u32 = 0xfff;

/// A change as the guest reads it: the inode, the kind and the name.
type Told = (u64, WatchFlags, String);

impl Bench {
    fn watch(&mut self, node: u64, kinds: u32) -> i32 {
        self.request(WATCH, node, &[&kinds.to_le_bytes()[..], &[0; 4]].concat()).0
    }

    /// Asks what changed, and waits if nothing has.
    fn listen(&mut self) {
        self.begin(CHANGES, 0, &[]);
    }

    /// What is told, of whoever waits.
    fn told(&mut self) -> Vec<Told> {
        if self.later() != Some(0) {
            return Vec::new();
        }
        let length = u32::from_le_bytes(self.driver.read(LATER, 4).try_into().unwrap());
        let mut rest = &self.driver.read(LATER + 16, usize::try_from(length).unwrap() - 16)[..];
        let mut told = Vec::new();
        while !rest.is_empty() {
            let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            let length = usize::try_from(word(16)).unwrap();
            let name = String::from_utf8(rest[24..24 + length].to_vec()).unwrap();
            told.push((number(rest), WatchFlags::from_bits_retain(word(8)), name));
            rest = &rest[(24 + length + 1).next_multiple_of(8)..];
        }
        self.listen();
        told
    }
}

fn told(node: u64, kind: WatchFlags, name: &str) -> Told {
    (node, kind, name.to_owned())
}

#[test]
fn what_others_do_on_the_host_is_told() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    assert_eq!((bench.watch(share, EVERYTHING), bench.watch(file, EVERYTHING)), (0, 0));
    bench.listen();
    assert_eq!(bench.told(), []);
    fs::write(bench.path("new"), "text").unwrap();
    let of_new = |kind| told(share, kind, "new");
    assert_eq!(bench.told(), [WatchFlags::CREATE, WatchFlags::MODIFY, WatchFlags::CLOSE_WRITE].map(of_new));
    // To those who watch the directory, and to those who watch the file.
    fs::OpenOptions::new().append(true).open(bench.path("file")).unwrap();
    assert_eq!(
        bench.told(),
        [told(share, WatchFlags::CLOSE_WRITE, "file"), told(file, WatchFlags::CLOSE_WRITE, "")]
    );
    fs::rename(bench.path("new"), bench.path("sub/new")).unwrap();
    fs::rename(bench.path("sub/new"), bench.path("newer")).unwrap();
    assert_eq!(
        bench.told(),
        [told(share, WatchFlags::MOVED_FROM, "new"), told(share, WatchFlags::MOVED_TO, "newer")]
    );
    fs::remove_file(bench.path("file")).unwrap();
    // Which the host tells of itself when nobody has the inode any more, and not before.
    assert_eq!(
        bench.told(),
        [
            told(file, WatchFlags::ATTRIB, ""),
            told(file, WatchFlags::DELETE_SELF, ""),
            told(share, WatchFlags::DELETE, "file")
        ]
    );
    // Only what is asked for, from then on.
    assert_eq!(bench.watch(share, WatchFlags::DELETE.bits()), 0);
    fs::remove_dir(bench.path("sub")).unwrap();
    fs::write(bench.path("other"), "text").unwrap();
    let directory = WatchFlags::from_bits_retain(libc::IN_ISDIR);
    assert_eq!(bench.told(), [told(share, WatchFlags::DELETE | directory, "sub")]);
    assert_eq!(bench.watch(share, 0), 0);
    fs::remove_file(bench.path("other")).unwrap();
    assert_eq!(bench.told(), []);
}

#[test]
fn a_directory_that_goes_is_told_where_its_parent_is_watched() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let sub = bench.lookup(share, "sub").unwrap();
    assert_eq!((bench.watch(share, EVERYTHING), bench.watch(sub, EVERYTHING)), (0, 0));
    bench.listen();
    fs::remove_dir(bench.path("sub")).unwrap();
    let told = bench.told();
    assert!(told.contains(&(sub, WatchFlags::DELETE_SELF, String::new())), "{told:?}");
}

#[test]
fn what_the_guest_does_itself_is_not_told_again() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let (file, sub) = (bench.lookup(share, "file").unwrap(), bench.lookup(share, "sub").unwrap());
    for node in [share, file, sub] {
        assert_eq!(bench.watch(node, EVERYTHING), 0);
    }
    bench.listen();
    let flags = libc::O_RDWR.to_le_bytes();
    let create = [&flags[..], &(libc::S_IFREG | 0o644).to_le_bytes(), &[0; 8], b"new\0"].concat();
    let (error, made) = bench.request(CREATE, share, &create);
    assert_eq!(error, 0);
    let (new, handle) = (number(&made), number(&made[128..]));
    assert_eq!(bench.watch(new, EVERYTHING), 0);
    let write = [&io(handle, 3)[..], b"new"].concat();
    let open = bench.open(file, libc::O_RDWR | libc::O_TRUNC).unwrap();
    let of = |handle: u64, rest: usize| [&handle.to_le_bytes()[..], &vec![0; rest]].concat();
    let setattr = [&1_u32.to_le_bytes()[..], &[0; 64], &0o600_u32.to_le_bytes(), &[0; 16]].concat();
    let truncate = [&(1_u32 << 3).to_le_bytes()[..], &[0; 84]].concat();
    let xattr = [&1_u32.to_le_bytes()[..], &[0; 4], b"user.a\0v"].concat();
    let rename = |to: u64, names: &str| [&to.to_le_bytes()[..], names.as_bytes()].concat();
    for (opcode, node, body) in [
        (WRITE_DATA, new, write),
        (FLUSH, new, of(handle, 16)),
        (RELEASE, new, of(handle, 16)),
        (FALLOCATE, file, [&of(open, 8)[..], &1_u64.to_le_bytes(), &[0; 8]].concat()),
        (RELEASE, file, of(open, 16)),
        (SETATTR, file, setattr),
        (SETATTR, file, truncate),
        (SETXATTR, file, xattr),
        (REMOVEXATTR, file, text("user.a")),
        (MKDIR, share, [&0o755_u32.to_le_bytes()[..], &[0; 4], b"made\0"].concat()),
        (SYMLINK, share, b"link\0target\0".to_vec()),
        (MKNOD, share, [&(libc::S_IFREG | 0o600).to_le_bytes()[..], &[0; 12], b"node\0"].concat()),
        (LINK, share, rename(new, "linked\0")),
        (RENAME, share, rename(sub, "new\0moved\0")),
        (RENAME, share, rename(share, "linked\0file\0")),
        (UNLINK, sub, text("moved")),
        (UNLINK, share, text("file")),
        (RMDIR, share, text("made")),
        (RMDIR, share, text("sub")),
    ] {
        assert_eq!(bench.request(opcode, node, &body).0, 0, "{opcode}");
        assert_eq!(bench.told(), [], "{opcode}");
    }
    // What others did before it, and do after it, is told.
    fs::write(bench.path("theirs"), "").unwrap();
    assert_eq!(bench.request(UNLINK, share, &text("theirs")).0, 0);
    assert_eq!(
        bench.told(),
        [told(share, WatchFlags::CREATE, "theirs"), told(share, WatchFlags::CLOSE_WRITE, "theirs")]
    );
    fs::write(bench.path("theirs"), "").unwrap();
    assert_eq!(bench.told().len(), 2);
}

#[test]
fn a_single_file_is_watched_by_its_name_and_a_read_only_share_is_watched() {
    let mut bench = Bench::new(true, Some("file"));
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    assert_eq!((bench.watch(share, EVERYTHING), bench.watch(ROOT, EVERYTHING)), (libc::EACCES, libc::EACCES));
    assert_eq!(bench.watch(file, EVERYTHING), 0);
    bench.listen();
    fs::write(bench.path("another"), "text").unwrap();
    assert_eq!(bench.told(), [], "another name");
    for _ in 0..2 {
        fs::write(bench.path("another"), "text").unwrap();
        fs::rename(bench.path("another"), bench.path("file")).unwrap();
        assert_eq!(
            bench.told(),
            [told(file, WatchFlags::MODIFY, ""), told(file, WatchFlags::CLOSE_WRITE, "")]
        );
    }
    fs::remove_file(bench.path("file")).unwrap();
    assert_eq!(bench.told(), [told(file, WatchFlags::ATTRIB, "")]);
}

#[test]
fn an_inode_by_two_numbers_is_watched_by_both() {
    let directory = tree();
    let share = |read_only| ShareConfig { directory: directory.path().join("shared"), only: None, read_only };
    let fs = Fs::new(&[share(false), share(true)]).unwrap();
    let mut bench = Bench::serving(fs, directory);
    let [one, other] = ["0", "1"].map(|name| bench.lookup(ROOT, name).unwrap());
    assert_eq!((bench.watch(one, EVERYTHING), bench.watch(other, WatchFlags::DELETE.bits())), (0, 0));
    bench.listen();
    // The guest's kernel does not know that it is the same.
    assert_eq!(bench.request(UNLINK, one, &text("file")).0, 0);
    assert_eq!(bench.told(), [told(other, WatchFlags::DELETE, "file")]);
    assert_eq!(bench.watch(one, 0), 0);
    fs::remove_file(bench.path("other")).unwrap();
    assert_eq!(bench.told(), [told(other, WatchFlags::DELETE, "other")]);
}

#[test]
fn what_is_watched_goes_with_the_inode_and_the_share() {
    let mut bench = Bench::new(false, None);
    bench.fs.limit(9, 9, 1);
    bench.driver = activate(&mut bench.fs);
    let share = bench.share();
    let [file, sub] = ["file", "sub"].map(|name| bench.lookup(share, name).unwrap());
    assert_eq!((bench.watch(file, EVERYTHING), bench.watch(sub, EVERYTHING)), (0, libc::ENOSPC));
    assert_eq!(bench.watch(77, EVERYTHING), libc::EBADF);
    bench.request(FORGET, file, &1_u64.to_le_bytes());
    assert_eq!(bench.watch(file, EVERYTHING), libc::EBADF);
    bench.listen();
    fs::write(bench.path("file"), "text").unwrap();
    assert_eq!((bench.told(), bench.watch(sub, EVERYTHING)), (vec![], 0));
    bench.fs.roots().remove(0).unwrap();
    bench.fs.serve(false);
    fs::write(bench.path("sub/new"), "text").unwrap();
    assert_eq!(bench.told(), []);
    // A reset leaves nothing, either.
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    assert_eq!(bench.watch(share, EVERYTHING), 0);
    bench.fs.reset();
    fs::write(bench.path("new"), "text").unwrap();
    bench.fs.serve(false);
    bench.driver = activate(&mut bench.fs);
    bench.share();
    bench.listen();
    assert_eq!(bench.told(), []);
}

#[test]
fn one_asks_at_a_time_until_the_guest_unmounts() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    bench.listen();
    assert_eq!(bench.request(CHANGES, 0, &[]).0, libc::EBUSY);
    assert_eq!(bench.read(share, 1).0, libc::EBADF, "others are served");
    assert_eq!(bench.watch(share, EVERYTHING), 0);
    assert_eq!((bench.later(), bench.watch(0, 0)), (None, 0));
    assert_eq!(bench.later(), Some(libc::ECANCELED));
    bench.listen();
    assert_eq!(bench.later(), Some(libc::ECANCELED));
    // An answer that has no room for the longest name.
    bench.driver.write(LATER, &[0; 16]);
    let header = [&40_u32.to_le_bytes()[..], &CHANGES.to_le_bytes(), &[0; 32]].concat();
    bench.driver.write(IN, &header);
    bench.driver.send(&[(IN, 40, 0), (LATER, 200, WRITE)]);
    bench.fs.serve(false);
    assert_eq!(bench.driver.read(LATER + 4, 4), (-libc::EINVAL).to_le_bytes());
}
