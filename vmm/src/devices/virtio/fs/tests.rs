//! FUSE requests as Linux sends them, and as nobody should, through a real queue onto real directories.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use holm_protocol::vm_config::ShareConfig;
use proptest::prelude::*;
use tempfile::TempDir;

use super::message::{CHANGES, WATCH};
use super::*;
use crate::devices::virtio::device::VirtioDevice;
use crate::devices::virtio::driver::{Driver, NEXT, RAM_BYTES, WRITE};

mod watches;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const READLINK: u32 = 5;
const SYMLINK: u32 = 6;
const MKNOD: u32 = 8;
const MKDIR: u32 = 9;
const UNLINK: u32 = 10;
const RMDIR: u32 = 11;
const RENAME: u32 = 12;
const LINK: u32 = 13;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE_DATA: u32 = 16;
const RELEASE: u32 = 18;
const SETXATTR: u32 = 21;
const LISTXATTR: u32 = 23;
const REMOVEXATTR: u32 = 24;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const GETLK: u32 = 31;
const SETLK: u32 = 32;
const SETLKW: u32 = 33;
const CREATE: u32 = 35;
const INTERRUPT: u32 = 36;
const FALLOCATE: u32 = 43;
const SETUPMAPPING: u32 = 48;
const TMPFILE: u32 = 51;

const VERSION_1: u64 = 1 << 32;
const IN: u64 = 0x10_0000;
const OUT: u64 = 0x20_0000;
const ROOT: u64 = 1;
/// Where the answer to a request goes that waits meanwhile, and its number.
const LATER: u64 = 0x30_0000;
const WAITING: u64 = 9;

struct Bench {
    fs: Fs,
    driver: Driver,
    directory: TempDir,
}

/// A directory `shared` beside a file `secret`.
fn tree() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("shared/sub")).unwrap();
    fs::write(directory.path().join("secret"), "secret").unwrap();
    fs::write(directory.path().join("shared/file"), "hello").unwrap();
    fs::write(directory.path().join("shared/other"), "other").unwrap();
    directory
}

/// The driver of the queue of requests; the one of the urgent ones stays empty.
fn activate(fs: &mut Fs) -> Driver {
    let urgent = Driver::new();
    let requests = urgent.of_next_queue();
    urgent.activate_with(fs, VERSION_1, &[&requests]);
    requests
}

impl Bench {
    fn new(read_only: bool, only: Option<&str>) -> Self {
        let directory = tree();
        let shared = directory.path().join("shared");
        let share = ShareConfig { directory: shared, only: only.map(str::to_owned), read_only };
        Self::serving(Fs::new(&[share]).unwrap(), directory)
    }

    fn serving(mut fs: Fs, directory: TempDir) -> Self {
        let driver = activate(&mut fs);
        let mut bench = Self { fs, driver, directory };
        let init = [7_u32, 40, 1 << 20, u32::MAX].map(u32::to_le_bytes).concat();
        assert_eq!(bench.request(INIT, 0, &[&init, &[0; 48][..]].concat()).0, 0);
        bench
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join("shared").join(name)
    }

    /// Sends a request as root; the error (0 for none) and what follows the header of the answer.
    fn request(&mut self, opcode: u32, node: u64, body: &[u8]) -> (i32, Vec<u8>) {
        self.request_of((0, 0), opcode, node, body)
    }

    /// Sends a request as a user and group.
    fn request_of(&mut self, (uid, gid): (u32, u32), opcode: u32, node: u64, body: &[u8]) -> (i32, Vec<u8>) {
        let length = u32::try_from(40 + body.len()).unwrap();
        let header = [
            &length.to_le_bytes()[..],
            &opcode.to_le_bytes(),
            &7_u64.to_le_bytes(),
            &node.to_le_bytes(),
            &uid.to_le_bytes(),
            &gid.to_le_bytes(),
            &[0; 8],
        ];
        self.raw(&[&header.concat()[..], body].concat())
    }

    fn raw(&mut self, bytes: &[u8]) -> (i32, Vec<u8>) {
        self.driver.write(IN, bytes);
        self.driver.write(OUT, &[0; 16]);
        let length = u32::try_from(bytes.len()).unwrap();
        self.driver.send(&[(IN, length, 0), (OUT, 4096, WRITE)]);
        self.fs.serve(false);
        let header = self.driver.read(OUT, 16);
        let length = u32::from_le_bytes(header[..4].try_into().unwrap());
        let error = i32::from_le_bytes(header[4..8].try_into().unwrap());
        (-error, self.driver.read(OUT + 16, usize::try_from(length).unwrap().saturating_sub(16)))
    }

    /// Sends a request for a lock that may wait; see [`Bench::later`].
    fn wait_for(&mut self, node: u64, lock: &[u8]) {
        self.begin(SETLKW, node, lock);
    }

    /// Sends a request that may wait.
    fn begin(&mut self, opcode: u32, node: u64, body: &[u8]) {
        let length = u32::try_from(40 + body.len()).unwrap();
        let header = [
            &length.to_le_bytes()[..],
            &opcode.to_le_bytes(),
            &WAITING.to_le_bytes(),
            &node.to_le_bytes(),
            &[0; 16],
        ];
        self.driver.write(IN, &[&header.concat()[..], body].concat());
        self.driver.write(LATER, &[0; 16]);
        self.driver.send(&[(IN, length, 0), (LATER, 4096, WRITE)]);
        self.fs.serve(false);
    }

    /// The answer to [`Bench::wait_for`], if there is one by now.
    fn later(&mut self) -> Option<i32> {
        self.fs.serve(true);
        let header = self.driver.read(LATER, 16);
        let unique = u64::from_le_bytes(header[8..16].try_into().unwrap());
        (unique == WAITING).then(|| -i32::from_le_bytes(header[4..8].try_into().unwrap()))
    }

    fn lookup(&mut self, parent: u64, name: &str) -> Result<u64, i32> {
        let (error, answer) = self.request(LOOKUP, parent, &text(name));
        if error == 0 { Ok(number(&answer)) } else { Err(error) }
    }

    fn share(&mut self) -> u64 {
        self.lookup(ROOT, "0").unwrap()
    }

    fn open(&mut self, node: u64, flags: i32) -> Result<u64, i32> {
        let (error, answer) = self.request(OPEN, node, &[flags.to_le_bytes(), [0; 4]].concat());
        if error == 0 { Ok(number(&answer)) } else { Err(error) }
    }

    fn read(&mut self, node: u64, handle: u64) -> (i32, Vec<u8>) {
        self.request(READ, node, &io(handle, 100))
    }
}

fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn number(answer: &[u8]) -> u64 {
    u64::from_le_bytes(answer[..8].try_into().unwrap())
}

/// `fuse_read_in` and `fuse_write_in`, from the file's beginning.
fn io(handle: u64, size: u32) -> Vec<u8> {
    [&handle.to_le_bytes()[..], &[0; 8], &size.to_le_bytes(), &[0; 20]].concat()
}

/// `fuse_lk_in`: a lock of the bytes from `start` to `end`; flags 1 for flock(2).
fn lock(handle: u64, owner: u64, (start, end): (u64, u64), kind: i32, flags: u32) -> Vec<u8> {
    let numbers = [handle, owner, start, end].map(u64::to_le_bytes).concat();
    [&numbers[..], &kind.to_le_bytes(), &[0; 4], &flags.to_le_bytes(), &[0; 4]].concat()
}

const ALL: (u64, u64) = (0, i64::MAX as u64);
const FLOCK: u32 = 1;

#[test]
fn locks_of_owners_and_of_open_files_are_the_hosts() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    let handle = bench.open(file, libc::O_RDWR).unwrap();
    let mut ask = |opcode, body: &[u8]| bench.request(opcode, file, body);
    // Two owners by one open file, as two processes have after a fork.
    assert_eq!(ask(SETLK, &lock(handle, 1, (0, 3), libc::F_WRLCK, 0)).0, 0);
    assert_eq!(ask(SETLK, &lock(handle, 2, (3, 5), libc::F_RDLCK, 0)).0, libc::EAGAIN);
    assert_eq!(ask(SETLK, &lock(handle, 2, (4, 5), libc::F_RDLCK, 0)).0, 0);
    let (error, found) = ask(GETLK, &lock(handle, 2, ALL, libc::F_RDLCK, 0));
    assert_eq!((error, &found[8..20]), (0, &[3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0][..]));
    // Another process of the host, for both kinds.
    let host = fs::File::options().write(true).open(bench.path("file")).unwrap();
    let all = libc::flock { l_type: 1, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    let set = || nix::fcntl::fcntl(&host, nix::fcntl::FcntlArg::F_OFD_SETLK(&all)).map(drop);
    assert_eq!(set(), Err(nix::errno::Errno::EAGAIN));
    // A close by the one owner gives back what that one has.
    let mut ask = |opcode, body: &[u8]| bench.request(opcode, file, body);
    let flush = |owner: u64| [&handle.to_le_bytes()[..], &[0; 8], &owner.to_le_bytes()].concat();
    assert_eq!(ask(FLUSH, &flush(1)).0, 0);
    assert_eq!(ask(SETLK, &lock(handle, 2, (0, 3), libc::F_WRLCK, 0)).0, 0);
    assert_eq!(set(), Err(nix::errno::Errno::EAGAIN));
    assert_eq!(ask(FLUSH, &flush(2)).0, 0);
    assert_eq!(set(), Ok(()));
    assert_eq!(ask(SETLK, &lock(handle, 2, ALL, libc::F_WRLCK, FLOCK)).0, 0, "the other kind");
    assert!(host.try_lock().is_err());
    assert_eq!(ask(RELEASE, &[&handle.to_le_bytes()[..], &[0; 16]].concat()).0, 0);
    assert!(host.try_lock().is_ok());
    // Nonsense.
    let handle = bench.open(file, libc::O_RDONLY).unwrap();
    for body in
        [lock(handle, 1, (5, 4), 1, 0), lock(handle, 1, (0, u64::MAX), 1, 0), lock(handle, 1, ALL, 7, 0)]
    {
        assert_eq!(bench.request(SETLK, file, &body).0, libc::EINVAL);
    }
    assert_eq!(bench.request(SETLK, file, &lock(77, 1, ALL, 1, 0)).0, libc::EBADF);
}

#[test]
fn a_lock_is_waited_for_while_others_are_served() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    let handle = bench.open(file, libc::O_RDWR).unwrap();
    let host = fs::File::options().write(true).open(bench.path("file")).unwrap();
    host.lock().unwrap();
    bench.wait_for(file, &lock(handle, 1, ALL, libc::F_WRLCK, FLOCK));
    assert_eq!(bench.later(), None);
    assert_eq!(bench.read(file, handle), (0, b"hello".to_vec()));
    host.unlock().unwrap();
    assert_eq!(bench.later(), Some(0));
    assert!(host.try_lock().is_err());
    // What this guest gives back, it has at once.
    assert_eq!(bench.request(SETLK, file, &lock(handle, 1, ALL, libc::F_WRLCK, 0)).0, 0);
    bench.wait_for(file, &lock(handle, 2, ALL, libc::F_WRLCK, 0));
    assert_eq!(bench.later(), None);
    let used = bench.driver.used().len();
    assert_eq!(bench.request(SETLK, file, &lock(handle, 1, ALL, libc::F_UNLCK, 0)).0, 0);
    assert_eq!((bench.driver.used().len(), bench.later()), (used + 2, Some(0)));
}

#[test]
fn who_waits_for_a_lock_can_be_interrupted() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    let handle = bench.open(file, libc::O_RDWR).unwrap();
    let host = fs::File::options().write(true).open(bench.path("file")).unwrap();
    host.lock().unwrap();
    let wanted = lock(handle, 1, ALL, libc::F_RDLCK, FLOCK);
    bench.wait_for(file, &wanted);
    bench.request(INTERRUPT, 0, &8_u64.to_le_bytes());
    assert_eq!(bench.later(), None, "another's");
    bench.request(INTERRUPT, 0, &WAITING.to_le_bytes());
    assert_eq!(bench.later(), Some(libc::EINTR));
    // Waiting is bounded, and goes with a reset.
    (0..20).for_each(|_| bench.wait_for(file, &wanted));
    bench.fs.reset();
    bench.driver = activate(&mut bench.fs);
    assert!(bench.lookup(ROOT, "0").is_ok() && host.unlock().is_ok());
}

#[test]
fn a_file_without_a_name_gets_one() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let args = |mode: u32| [libc::O_RDWR.cast_unsigned(), mode, 0o022, 0].map(u32::to_le_bytes).concat();
    let (error, made) = bench.request(TMPFILE, share, &[args(0o666), text("/")].concat());
    assert_eq!((error, made.len()), (0, 144));
    let (node, handle) = (number(&made), number(&made[128..]));
    assert_eq!(bench.request(WRITE_DATA, node, &[&io(handle, 3)[..], b"new"].concat()).0, 0);
    assert_eq!(fs::read_dir(bench.path("")).unwrap().count(), 3);
    let (error, linked) = bench.request(LINK, share, &[&node.to_le_bytes()[..], b"named\0"].concat());
    assert_eq!((error, number(&linked)), (0, node), "the same inode");
    assert_eq!(fs::read(bench.path("named")).unwrap(), b"new");
    assert_eq!(fs::metadata(bench.path("named")).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(bench.lookup(share, "named"), Ok(node));
    for mut bench in [Bench::new(true, None), Bench::new(false, Some("file"))] {
        let share = bench.share();
        let refused = bench.request(TMPFILE, share, &[args(0o666), text("/")].concat()).0;
        assert!([libc::EROFS, libc::EACCES].contains(&refused), "{refused}");
    }
    assert_eq!(bench.request(TMPFILE, share, &[0; 8]).0, libc::EINVAL);
}

#[test]
fn files_are_read_and_written() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    let handle = bench.open(file, libc::O_RDWR).unwrap();
    assert_eq!(bench.read(file, handle), (0, b"hello".to_vec()));
    let write = [&io(handle, 3)[..], b"HEL"].concat();
    assert_eq!(bench.request(WRITE_DATA, file, &write).0, 0);
    assert_eq!(fs::read(bench.path("file")).unwrap(), b"HELlo");
    assert_eq!(bench.request(RELEASE, file, &[&handle.to_le_bytes()[..], &[0; 16]].concat()).0, 0);
    assert_eq!(bench.read(file, handle).0, libc::EBADF);
}

/// With `HANDLE_KILLPRIV_V2` the guest's kernel leaves that to the device.
#[test]
fn a_file_gives_no_identity_any_more_when_somebody_without_privilege_changes_it() {
    use std::os::unix::fs::PermissionsExt;
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    let path = bench.path("file");
    let handle = bench.open(file, libc::O_RDWR).unwrap();
    let write =
        [&handle.to_le_bytes()[..], &[0; 8], &1_u32.to_le_bytes(), &4_u32.to_le_bytes(), &[0; 16], b"!"];
    let truncate = [&(1_u32 << 3 | 1 << 11).to_le_bytes()[..], &[0; 84]];
    let flags = (libc::O_RDWR | libc::O_TRUNC).to_le_bytes();
    let open = [&flags[..], &1_u32.to_le_bytes()];
    let create = [&flags[..], &0o644_u32.to_le_bytes(), &[0; 4], &1_u32.to_le_bytes(), b"file\0"];
    let changes = [
        (WRITE_DATA, file, write.concat()),
        (SETATTR, file, truncate.concat()),
        (OPEN, file, open.concat()),
        (CREATE, share, create.concat()),
    ];
    for (opcode, node, body) in changes {
        // Without the right to execute, the group's bit is about locks.
        for (before, after) in [(0o6755, 0o755), (0o6745, 0o2745), (0o755, 0o755)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
            assert_eq!(bench.request(opcode, node, &body).0, 0, "{opcode}");
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, after, "{opcode}: {mode:o} and not {after:o}");
        }
    }
}

#[test]
fn nothing_outside_can_be_named() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let sub = bench.lookup(share, "sub").unwrap();
    for parent in [ROOT, share, sub] {
        for name in ["..", ".", "", "../secret", "sub/../../secret", "/etc/passwd"] {
            assert_eq!(bench.lookup(parent, name), Err(libc::EINVAL), "{name:?}");
        }
    }
    assert_eq!(bench.lookup(share, &"n".repeat(300)), Err(libc::ENAMETOOLONG));
    assert_eq!(bench.lookup(ROOT, "1"), Err(libc::ENOENT));
    // Numbers that were never told: of no share, and of no inode.
    for node in [2, 3 << 44 | 1, u64::MAX, share + 77, 1 << 43] {
        assert_eq!(bench.request(GETATTR, node, &[0; 16]).0, libc::EBADF, "{node:#x}");
    }
    // A directory that is moved out on the host has no way up.
    fs::rename(bench.path("sub"), bench.directory.path().join("moved")).unwrap();
    assert_eq!(bench.lookup(sub, ".."), Err(libc::EINVAL));
}

#[test]
fn a_share_that_comes_later_goes_with_all_that_the_guest_has_of_it() {
    let mut bench = Bench::new(false, None);
    let roots = bench.fs.roots();
    let path = bench.directory.path().to_owned();
    let directory = || File::open(&path).unwrap().into();
    let add = |number, only, read_only| roots.add(number, directory(), only, read_only);
    assert_eq!(add(0, None, false).unwrap_err().raw_os_error(), Some(libc::EEXIST));
    add(3, None, true).unwrap();
    add(4, Some("secret"), false).unwrap();
    let late = bench.lookup(ROOT, "3").unwrap();
    let secret = bench.lookup(late, "secret").unwrap();
    assert_eq!(bench.open(secret, libc::O_RDWR), Err(libc::EROFS));
    let handle = bench.open(secret, libc::O_RDONLY).unwrap();
    assert_eq!(bench.read(secret, handle), (0, b"secret".to_vec()));
    let single = bench.lookup(ROOT, "4").unwrap();
    assert!(bench.lookup(single, "secret").is_ok() && bench.lookup(single, "shared").is_err());

    roots.remove(3).unwrap();
    assert_eq!(roots.remove(3).unwrap_err().raw_os_error(), Some(libc::ENOENT));
    assert_eq!(bench.read(secret, handle).0, libc::EBADF);
    assert_eq!(bench.lookup(ROOT, "3"), Err(libc::ENOENT));
    assert_eq!(bench.request(GETATTR, late, &[0; 16]).0, libc::EBADF);
    assert_eq!(
        add(3, None, false).unwrap_err().raw_os_error(),
        Some(libc::EEXIST),
        "a number is one share's"
    );
    // The others stay.
    let share = bench.share();
    assert!(bench.lookup(share, "file").is_ok() && bench.lookup(single, "secret").is_ok());
}

#[test]
fn symbolic_links_and_special_files_are_not_followed_on_the_host() {
    let mut bench = Bench::new(false, None);
    symlink("/etc/passwd", bench.path("link")).unwrap();
    nix::unistd::mkfifo(&bench.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let share = bench.share();
    let link = bench.lookup(share, "link").unwrap();
    assert_eq!(bench.request(READLINK, link, &[]), (0, b"/etc/passwd".to_vec()));
    assert_eq!(bench.open(link, libc::O_RDONLY), Err(libc::EBADF));
    assert_eq!(bench.lookup(link, "x"), Err(libc::ENOTDIR));
    let fifo = bench.lookup(share, "fifo").unwrap();
    assert_eq!(bench.open(fifo, libc::O_RDONLY), Err(libc::EBADF));
    // Nor is a device made that would be one on the host.
    let device = [&(libc::S_IFBLK | 0o600).to_le_bytes()[..], &[8, 0, 0, 0], &[0; 8], b"sda\0"].concat();
    assert_eq!(bench.request(MKNOD, share, &device).0, libc::EPERM);
}

#[test]
fn a_read_only_share_refuses_every_writing_request() {
    let mut bench = Bench::new(true, None);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    let handle = bench.open(file, libc::O_RDONLY).unwrap();
    let before = fs::metadata(bench.path("file")).unwrap();
    let named = |fixed: usize, names: &str| [&vec![0; fixed][..], names.as_bytes()].concat();
    let link = [&file.to_le_bytes()[..], b"new\0"].concat();
    let rename = [&share.to_le_bytes()[..], b"file\0new\0"].concat();
    let setattr = [&1_u32.to_le_bytes()[..], &[0; 84]].concat();
    let xattr = [&1_u32.to_le_bytes()[..], &[0; 4], b"user.a\0v"].concat();
    let write = [&io(handle, 1)[..], b"x"].concat();
    for (opcode, node, body) in [
        (SETATTR, file, setattr),
        (SYMLINK, share, b"new\0target\0".to_vec()),
        (MKNOD, share, [&(libc::S_IFREG | 0o600).to_le_bytes()[..], &[0; 12], b"new\0"].concat()),
        (MKDIR, share, named(8, "new\0")),
        (UNLINK, share, text("file")),
        (RMDIR, share, text("sub")),
        (RENAME, share, rename),
        (LINK, share, link),
        (CREATE, share, named(16, "new\0")),
        (SETXATTR, file, xattr),
        (REMOVEXATTR, file, text("user.a")),
        (WRITE_DATA, file, write),
        (FALLOCATE, file, [&handle.to_le_bytes()[..], &[0; 8], &[1; 8], &[0; 8]].concat()),
    ] {
        assert_eq!(bench.request(opcode, node, &body).0, libc::EROFS, "{opcode}");
    }
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_RDONLY | libc::O_TRUNC] {
        assert_eq!(bench.open(file, flags), Err(libc::EROFS));
    }
    let after = fs::metadata(bench.path("file")).unwrap();
    assert_eq!((after.ctime_nsec(), after.len()), (before.ctime_nsec(), before.len()));
    assert_eq!(fs::read_dir(bench.path("")).unwrap().count(), 3);
}

#[test]
fn a_single_file_is_all_there_is_and_a_rename_over_it_is_seen() {
    let mut bench = Bench::new(false, Some("file"));
    let share = bench.share();
    for name in ["other", "sub", "secret"] {
        assert_eq!(bench.lookup(share, name), Err(libc::ENOENT), "{name}");
    }
    let file = bench.lookup(share, "file").unwrap();
    assert_eq!(bench.lookup(file, "x"), Err(libc::ENOENT));
    let handle = bench.open(file, libc::O_RDWR).unwrap();
    fs::write(bench.path("new"), "replaced").unwrap();
    fs::rename(bench.path("new"), bench.path("file")).unwrap();
    assert_eq!(bench.read(file, handle), (0, b"hello".to_vec()), "it stays open");
    let again = bench.open(file, libc::O_RDONLY).unwrap();
    assert_eq!(bench.read(file, again), (0, b"replaced".to_vec()));
    assert_eq!(bench.request(UNLINK, share, &text("file")).0, libc::EBUSY);
    assert_eq!(bench.request(UNLINK, share, &text("other")).0, libc::EACCES);
    assert_eq!(bench.request(CREATE, share, &[&[0; 16][..], b"new\0"].concat()).0, libc::EACCES);
    // Nor is the directory around it the guest's.
    let xattr = [&1_u32.to_le_bytes()[..], &[0; 4], b"user.a\0v"].concat();
    assert_eq!(bench.request(SETXATTR, share, &xattr).0, libc::EACCES);
    assert_eq!(bench.request(SETATTR, share, &[&1_u32.to_le_bytes()[..], &[0; 84]].concat()).0, libc::EACCES);
    // What takes its name and is no file is not opened.
    fs::remove_file(bench.path("file")).unwrap();
    symlink("/etc/passwd", bench.path("file")).unwrap();
    assert_eq!(bench.open(file, libc::O_RDONLY), Err(libc::EBADF));
    fs::remove_file(bench.path("file")).unwrap();
    fs::create_dir(bench.path("file")).unwrap();
    assert_eq!(bench.open(file, libc::O_RDONLY), Err(libc::EISDIR));
}

#[test]
fn what_a_guest_holds_on_to_is_bounded() {
    let mut bench = Bench::new(false, None);
    bench.fs.limit(2, 1, 1);
    bench.driver = activate(&mut bench.fs);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    bench.lookup(share, "other").unwrap();
    assert_eq!(bench.lookup(share, "sub"), Err(libc::ENFILE));
    let handle = bench.open(file, libc::O_RDONLY).unwrap();
    assert_eq!(bench.open(file, libc::O_RDONLY), Err(libc::ENFILE));
    // A forged FORGET takes no more than was given, and an open file outlives it.
    bench.request(FORGET, file, &u64::MAX.to_le_bytes());
    bench.request(FORGET, share, &u64::MAX.to_le_bytes());
    assert_eq!(bench.request(GETATTR, file, &[0; 16]).0, libc::EBADF);
    assert!(bench.lookup(share, "sub").is_ok());
    assert_ne!(bench.read(share, handle).0, 0);
}

#[test]
fn malformed_requests_get_an_error_and_the_device_lives() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    assert_eq!(bench.raw(&[1; 39]).0, libc::EINVAL);
    assert_eq!(bench.request(SETUPMAPPING, share, &[0; 64]).0, libc::ENOSYS);
    assert_eq!(bench.request(u32::MAX, share, &[]).0, libc::ENOSYS);
    // A length that is a lie.
    let mut lie = vec![0; 48];
    lie[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    lie[4] = 10;
    assert_ne!(bench.raw(&lie).0, 0);
    assert!(bench.lookup(share, "other").is_ok());
    for opcode in (1..=60).filter(|opcode| ![FORGET, 42, INIT].contains(opcode)) {
        let mut bench = Bench::new(false, None);
        for body in [&b""[..], b"x", b"\0", &[0xff; 8], &[0xff; 64], &[0; 128]] {
            bench.request(opcode, share, body);
        }
        assert!(bench.lookup(share, "other").is_ok(), "{opcode}");
    }
}

#[test]
fn a_file_appends_as_long_as_the_guest_says_so() {
    let mut bench = Bench::new(false, None);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    let handle = bench.open(file, libc::O_RDWR | libc::O_APPEND).unwrap();
    // At the file's beginning, unless it appends.
    let write = |flags: i32| {
        [
            &handle.to_le_bytes()[..],
            &[0; 8],
            &1_u32.to_le_bytes(),
            &[0; 12],
            &flags.to_le_bytes(),
            &[0; 4],
            b"!",
        ]
        .concat()
    };
    assert_eq!(bench.request(WRITE_DATA, file, &write(libc::O_RDWR | libc::O_APPEND)).0, 0);
    assert_eq!(bench.read(file, handle), (0, b"hello!".to_vec()));
    assert_eq!(bench.request(WRITE_DATA, file, &write(libc::O_RDWR)).0, 0);
    assert_eq!(bench.read(file, handle), (0, b"!ello!".to_vec()));
    assert_eq!(bench.request(WRITE_DATA, file, &write(-1)).0, 0);
    assert_eq!(bench.read(file, handle), (0, b"!ello!!".to_vec()));
}

#[test]
fn hostile_chains_stop_the_device_and_reset_revives_it() {
    let hostile: [&[(u64, u32, u16, u16)]; 4] = [
        &[(IN, 40, NEXT, 1), (RAM_BYTES - 8, 16, WRITE, 0)],
        &[(IN, 40, NEXT, 0)],
        &[(OUT, 16, WRITE | NEXT, 1), (IN, 40, 0, 0)],
        &[(u64::MAX - 8, 40, 0, 0)],
    ];
    for chain in hostile {
        let mut bench = Bench::new(false, None);
        bench.driver.describe(60, chain);
        bench.driver.describe(0, chain);
        bench.driver.offer(0);
        bench.fs.serve(false);
        assert!(bench.driver.interrupt.is_reset_needed(), "{chain:?}");
        assert_eq!(bench.fs.state().queues, None);
        bench.fs.reset();
        bench.driver = activate(&mut bench.fs);
        bench.share();
    }
}

#[test]
fn the_configuration_space_names_the_device() {
    let bench = Bench::new(false, None);
    let mut space = [0xff; 48];
    bench.fs.read_config(0, &mut space);
    assert_eq!((&space[..5], &space[36..44]), (&b"holm\0"[..], &[1, 0, 0, 0, 0, 0, 0, 0][..]));
}

#[test]
fn its_state_says_whether_it_is_all() {
    let bench = Bench::new(false, None);
    let state = bench.fs.state();
    assert!(state.in_use && state.queues.unwrap()[1].next_used > 0);
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<FsState>(&json).unwrap(), state);
}

#[test]
fn directories_that_cannot_be_shared_are_refused() {
    let directory = tree();
    let link = directory.path().join("link");
    symlink(directory.path().join("shared"), &link).unwrap();
    for path in [&directory.path().join("secret"), &link, Path::new("/nonexistent")] {
        let share = ShareConfig { directory: path.into(), only: None, read_only: false };
        assert!(matches!(Fs::new(&[share]), Err(FsError::Directory { .. })), "{}", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever requests say: no panic, the device lives, and nothing changes beside the share.
    #[test]
    fn no_request_breaks_it(
        requests in prop::collection::vec(
            (prop_oneof![8 => 0_u32..60, 1 => WATCH..=CHANGES], 0_usize..4, prop_oneof![
                prop::collection::vec(any::<u8>(), 0..160),
                (prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..70), "[a-z./]{0,12}")
                    .prop_map(|(fixed, name)| [fixed, text(&name), text("file")].concat()),
            ]),
            // The test's rings have room for so many and those before and after.
            1..24),
        read_only in any::<bool>(),
    ) {
        let mut bench = Bench::new(read_only, None);
        let share = bench.share();
        let file = bench.lookup(share, "file").unwrap();
        bench.open(file, libc::O_RDONLY).unwrap();
        for (opcode, node, body) in requests {
            let node = [share, file, ROOT, u64::MAX][node];
            bench.request(opcode, node, &body);
        }
        let found = bench.lookup(ROOT, "0");
        prop_assert!(found == Ok(share) && !bench.driver.interrupt.is_reset_needed(), "{found:?}");
        let beside: Vec<_> = fs::read_dir(bench.directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        prop_assert_eq!(beside.len(), 2);
        prop_assert_eq!(fs::read(bench.directory.path().join("secret")).unwrap(), b"secret");
        if read_only {
            prop_assert_eq!(fs::read(bench.path("file")).unwrap(), b"hello");
        }
    }
}

/// The owner in a `fuse_attr` that stands so deep in an answer.
fn owner(answer: &[u8], offset: usize) -> (u32, u32) {
    let id = |at: usize| u32::from_le_bytes(answer[offset + at..][..4].try_into().unwrap());
    (id(68), id(72))
}

/// `fuse_setattr_in` that gives a file away.
fn chown(uid: u32, gid: u32) -> Vec<u8> {
    let valid = 1_u32 << 1 | 1 << 2;
    [&valid.to_le_bytes()[..], &[0; 72], &uid.to_le_bytes(), &gid.to_le_bytes(), &[0; 4]].concat()
}

#[test]
fn an_ordinary_users_files_are_roots_and_their_owners_in_the_guest_are_noted() {
    let directory = tree();
    let shared = directory.path().join("shared");
    let mut fs = Fs::new(&[ShareConfig { directory: shared.clone(), only: None, read_only: false }]).unwrap();
    fs.note_owners();
    let mut bench = Bench::serving(fs, directory);
    let share = bench.share();
    let file = bench.lookup(share, "file").unwrap();
    let shown = |bench: &mut Bench, node| owner(&bench.request(GETATTR, node, &[0; 16]).1, 16);
    assert_eq!(shown(&mut bench, file), (0, 0), "the user's own");

    // What others make is theirs, whatever the host's permissions of it.
    let create = [&[0; 4][..], &(libc::S_IFREG | 0o400).to_le_bytes(), &[0; 8], b"theirs\0"].concat();
    let (error, answer) = bench.request_of((999, 998), CREATE, share, &create);
    assert_eq!((error, owner(&answer, 40)), (0, (999, 998)));
    let made = bench.lookup(share, "theirs").unwrap();
    assert_eq!(shown(&mut bench, made), (999, 998));
    let host = fs::metadata(shared.join("theirs")).unwrap();
    let own = fs::metadata(shared.join("file")).unwrap();
    assert_eq!((host.uid(), host.mode() & 0o7777), (own.uid(), 0o400));
    let mkdir = [&0o755_u32.to_le_bytes()[..], &[0; 4], b"new\0"].concat();
    let (error, answer) = bench.request_of((999, 998), MKDIR, share, &mkdir);
    assert_eq!((error, owner(&answer, 40)), (0, (999, 998)));

    // Root of the guest gives them away, and takes them back.
    for (uid, gid) in [(33, 34), (0, 0), (1, 0)] {
        let (error, answer) = bench.request(SETATTR, made, &chown(uid, gid));
        assert_eq!((error, owner(&answer, 16)), (0, (uid, gid)));
        assert_eq!(shown(&mut bench, made), (uid, gid));
    }
    assert_eq!(fs::metadata(shared.join("theirs")).unwrap().mode() & 0o7777, 0o400);

    // What carries no notes stays root's, and nobody is told otherwise.
    let (error, answer) = bench.request_of((999, 998), SYMLINK, share, b"link\0file\0");
    assert_eq!((error, owner(&answer, 40)), (0, (0, 0)));
    let link = bench.lookup(share, "link").unwrap();
    let (error, answer) = bench.request(SETATTR, link, &chown(33, 33));
    assert_eq!((error, owner(&answer, 16)), (0, (0, 0)));

    // The note is none of the guest's attributes.
    let note = [&3_u32.to_le_bytes()[..], &[0; 4], b"user.holm.owner\0", b"0:0"].concat();
    assert_eq!(bench.request(SETXATTR, made, &note).0, libc::EOPNOTSUPP);
    let (error, answer) = bench.request(LISTXATTR, made, &[&1000_u32.to_le_bytes()[..], &[0; 4]].concat());
    assert_eq!((error, answer), (0, vec![]));
}
