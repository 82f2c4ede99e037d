//! What a guest would try that has taken over its VMM.
#![allow(unsafe_code)] // any system call with any arguments is what this is about

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use holm_vmm::jail::Role;
use libc::c_long;

use crate::targets::{Targets, Who};

/// What the attackers hold: more than a VMM of the release does.
#[derive(Debug)]
pub(crate) struct Loot {
    pub(crate) targets: Targets,
    /// The host's network namespace.
    pub(crate) network: OwnedFd,
    /// The root of the first share, as the VMM has it.
    pub(crate) share: Option<OwnedFd>,
}

/// One way out.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) attempt: fn(&Loot) -> Answer,
    /// The roles whose filters let it through, for other walls to stop.
    pub(crate) passes: &'static [Role],
    /// Those VMMs for which the filter is the only wall.
    pub(crate) filter_alone: &'static [Who],
}

/// The error's number, if it failed.
pub(crate) type Answer = Result<usize, i32>;

const EVERYBODY: &[Who] = &Who::ALL;
/// An ordinary user's VMMs have no pid namespace of their own.
const OF_USERS: &[Who] = &[Who::User, Who::UserWithShares];
/// In a user namespace of its own there is no further one.
const IN_HOSTS_USERS: &[Who] = &[Who::Root, Who::RootWithShares, Who::UserWithShares];
/// An ordinary user's VMM with shares stays in the host's namespaces.
const IN_HOSTS: &[Who] = &[Who::UserWithShares];
const NOBODY: &[Who] = &[];
/// Opens files itself, below its shares.
const OPENS: &[Role] = &[Role::Shares];
const NONE: &[Role] = &[];

/// Makes a system call.
pub(crate) fn ask(number: c_long, arguments: &[usize]) -> Answer {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: the arguments point to values that the caller holds, or to nothing; a call that changes this process in other
    // ways is made by a process that was forked for it and ends right after.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(answer).map_err(|_| std::io::Error::last_os_error().raw_os_error().unwrap_or_default())
}

fn number(value: i32) -> usize {
    value.cast_unsigned() as usize
}

fn pointer<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>().expose_provenance()
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

const HERE: i32 = libc::AT_FDCWD;

fn open_at(directory: i32, path: &str, flags: i32) -> Answer {
    let path = text(path);
    ask(libc::SYS_openat, &[number(directory), pointer(path.as_c_str()), number(flags), 0o600])
}

fn open(path: &str) -> Answer {
    open_at(HERE, path, libc::O_RDONLY)
}

fn path_call(call: c_long, path: &str, second: usize) -> Answer {
    let path = text(path);
    ask(call, &[pointer(path.as_c_str()), second])
}

fn socket(family: i32, kind: i32) -> Answer {
    ask(libc::SYS_socket, &[number(family), number(kind), 0])
}

fn connect_unix(name: &[u8]) -> Answer {
    let socket = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    let mut address = [0; 110];
    address[0] = 1;
    address[2..2 + name.len()].copy_from_slice(name);
    ask(libc::SYS_connect, &[socket, pointer(&address), 2 + name.len()])
}

fn connect_tcp(port: u16) -> Answer {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM)?;
    let mut address = [0; 16];
    address[0] = 2;
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    ask(libc::SYS_connect, &[socket, pointer(&address), address.len()])
}

fn peer(loot: &Loot) -> usize {
    loot.targets.peer as usize
}

/// The share's descriptor; of a VMM without shares, none.
fn share(loot: &Loot) -> i32 {
    loot.share.as_ref().map_or(-1, AsRawFd::as_raw_fd)
}

/// A block device of the host's, with the number of its first disk.
fn disk_in(directory: i32) -> Answer {
    let path = text("disk");
    // There since another attempt, perhaps.
    let _ = ask(libc::SYS_unlinkat, &[number(directory), pointer(path.as_c_str()), 0]);
    let mode = (libc::S_IFBLK | 0o600) as usize;
    let disk = usize::try_from(libc::makedev(254, 0)).unwrap_or_default();
    ask(libc::SYS_mknodat, &[number(directory), pointer(path.as_c_str()), mode, disk])?;
    open_at(directory, "disk", libc::O_RDWR)
}

macro_rules! attack {
    ($name:literal, $passes:expr, $alone:expr, $attempt:expr) => {
        Attack { name: $name, attempt: $attempt, passes: $passes, filter_alone: $alone }
    };
}

/// All of them.
pub(crate) const ATTACKS: &[Attack] = &[
    // The host's files, and those of other VMs.
    attack!("open a file of the host", OPENS, NOBODY, |_| open("/etc/passwd")),
    attack!("open it by way of proc", OPENS, NOBODY, |_| open("/proc/self/root/etc/passwd")),
    attack!("open it by way of a share", OPENS, NOBODY, |loot| {
        open_at(share(loot), "../../../../../../etc/passwd", libc::O_RDONLY)
    }),
    attack!("open it by a link in a share", OPENS, NOBODY, |loot| {
        let (target, link) = (text("/etc/passwd"), text("link"));
        let share = share(loot);
        // There since another attempt, perhaps.
        let _ =
            ask(libc::SYS_symlinkat, &[pointer(target.as_c_str()), number(share), pointer(link.as_c_str())]);
        open_at(share, "link", libc::O_RDONLY)
    }),
    attack!("open the record of another container", OPENS, NOBODY, |loot| open(&loot.targets.record)),
    attack!("open another VM's memory", OPENS, NOBODY, |loot| open(&format!("/proc/{}/mem", peer(loot)))),
    attack!("open another VM's root", OPENS, NOBODY, |loot| open(&format!("/proc/{}/root/", peer(loot)))),
    attack!("make a file", OPENS, NOBODY, |_| open_at(HERE, "/var/tmp/new", libc::O_CREAT | libc::O_WRONLY)),
    attack!("open a disk of the host", OPENS, NOBODY, |_| open("/dev/vda")),
    attack!("make a disk of the host", NONE, NOBODY, |_| disk_in(HERE)),
    attack!("make a disk of the host in a share", NONE, NOBODY, |loot| disk_in(share(loot))),
    attack!("open a file by its handle", NONE, NOBODY, |_| {
        let handle = [0_u32; 8];
        ask(libc::SYS_open_by_handle_at, &[number(HERE), pointer(&handle), 0])
    }),
    attack!("change the root", NONE, NOBODY, |_| path_call(libc::SYS_chroot, "/proc", 0)),
    attack!("push input into a terminal", OPENS, NOBODY, |_| {
        let terminal = open_at(HERE, "/dev/tty", libc::O_RDWR)?;
        ask(libc::SYS_ioctl, &[terminal, 0x5412, pointer(&b'x')])
    }),
    // Mounts and namespaces.
    attack!("mount", NONE, NOBODY, |_| {
        let (what, place) = (text("tmpfs"), text("/"));
        let what = pointer(what.as_c_str());
        ask(libc::SYS_mount, &[what, pointer(place.as_c_str()), what, 0, 0])
    }),
    attack!("mount a tree", NONE, NOBODY, |_| {
        let place = text("/");
        ask(libc::SYS_open_tree, &[number(HERE), pointer(place.as_c_str()), 1])
    }),
    attack!("unmount", NONE, NOBODY, |_| path_call(libc::SYS_umount2, "/", 2)),
    attack!("pivot", NONE, NOBODY, |_| {
        let place = text("/");
        path_call(libc::SYS_pivot_root, "/", pointer(place.as_c_str()))
    }),
    attack!("have a mount namespace", NONE, NOBODY, |_| ask(libc::SYS_unshare, &[number(libc::CLONE_NEWNS)])),
    attack!("be root of a user namespace", NONE, IN_HOSTS_USERS, |_| {
        ask(libc::SYS_unshare, &[number(libc::CLONE_NEWUSER)])
    }),
    attack!("join the host's network", NONE, NOBODY, |loot| {
        ask(libc::SYS_setns, &[number(loot.network.as_raw_fd()), number(libc::CLONE_NEWNET)])
    }),
    // Other processes.
    attack!("signal another VM", NONE, OF_USERS, |loot| ask(libc::SYS_kill, &[peer(loot), 0])),
    attack!("signal a thread of it", NONE, OF_USERS, |loot| {
        ask(libc::SYS_tgkill, &[peer(loot), peer(loot), 0])
    }),
    attack!("trace it", NONE, NOBODY, |loot| ask(libc::SYS_ptrace, &[0x4206, peer(loot), 0, 0])),
    attack!("trace its supervisor", NONE, NOBODY, |loot| {
        ask(libc::SYS_ptrace, &[0x4206, loot.targets.supervisor as usize, 0, 0])
    }),
    attack!("read its memory", NONE, NOBODY, |loot| {
        let buffer = [0_u8; 8];
        let (here, there) = ([pointer(&buffer), 8], [0x1000_usize, 8]);
        match ask(libc::SYS_process_vm_readv, &[peer(loot), pointer(&here), 1, pointer(&there), 1, 0]) {
            // It has nothing there, and would have told.
            Err(libc::EFAULT) => Ok(0),
            answer => answer,
        }
    }),
    attack!("hold it", NONE, OF_USERS, |loot| ask(libc::SYS_pidfd_open, &[peer(loot), 0])),
    attack!("limit it", NONE, OF_USERS, |loot| {
        let limit = [0_u64; 2];
        ask(libc::SYS_prlimit64, &[peer(loot), 7, 0, pointer(&limit)])
    }),
    attack!("slow it down", NONE, OF_USERS, |loot| ask(libc::SYS_setpriority, &[0, peer(loot), 0])),
    // Sockets.
    attack!("connect to a supervisor", NONE, IN_HOSTS, |loot| {
        connect_unix(loot.targets.control.as_bytes())
    }),
    attack!("connect to an abstract socket", NONE, IN_HOSTS, |loot| {
        connect_unix(format!("\0{}", loot.targets.abstract_name).as_bytes())
    }),
    attack!("connect to the host's loopback", NONE, IN_HOSTS, |loot| connect_tcp(loot.targets.port)),
    attack!("make a socket", NONE, EVERYBODY, |_| socket(libc::AF_INET, libc::SOCK_DGRAM)),
    attack!("talk of routes", NONE, EVERYBODY, |_| socket(libc::AF_NETLINK, libc::SOCK_RAW)),
    attack!("listen to every frame", NONE, NOBODY, |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
    // Programs, processes and code.
    attack!("run a program", NONE, NOBODY, |_| path_call(libc::SYS_execve, "/bin/true", 0)),
    attack!("be two processes", NONE, EVERYBODY, |_| ask(libc::SYS_clone, &[17, 0, 0, 0, 0])),
    attack!("be two processes by fork", NONE, EVERYBODY, |_| ask(libc::SYS_fork, &[])),
    attack!("have memory that can be executed", NONE, EVERYBODY, |_| {
        ask(libc::SYS_mmap, &[0, 4096, 7, 0x22, usize::MAX, 0])
    }),
    attack!("have a file that can be executed", NONE, EVERYBODY, |_| {
        path_call(libc::SYS_memfd_create, "code", 0)
    }),
    // Privileges.
    attack!("have every capability", NONE, NOBODY, |_| {
        let (header, sets) = ([0x2008_0522_u32, 0], [u32::MAX; 6]);
        ask(libc::SYS_capset, &[pointer(&header), pointer(&sets)])
    }),
    attack!("raise a capability for programs", NONE, NOBODY, |_| {
        // PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN.
        ask(libc::SYS_prctl, &[47, 2, 21, 0, 0])
    }),
    attack!("write into the host's log", NONE, NOBODY, |_| ask(libc::SYS_syslog, &[5, 0, 0])),
    attack!("name the host", NONE, NOBODY, |_| path_call(libc::SYS_sethostname, "owned", 5)),
    attack!("restart the host", NONE, NOBODY, |_| {
        // LINUX_REBOOT_CMD_CAD_OFF, which does nothing where it may.
        ask(libc::SYS_reboot, &[0xfee1_dead, 672_274_793, 0])
    }),
    attack!("load a module", NONE, NOBODY, |_| {
        let (code, options) = ([0_u8; 8], text(""));
        ask(libc::SYS_init_module, &[pointer(&code), 8, pointer(options.as_c_str())])
    }),
    attack!("touch the machine's ports", NONE, NOBODY, |_| ask(libc::SYS_iopl, &[3])),
    // Parts of the kernel that had holes.
    attack!("load a program into the kernel", NONE, NOBODY, |_| {
        // BPF_MAP_CREATE of an array with one value.
        let map = [2_u32, 4, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        ask(libc::SYS_bpf, &[0, pointer(&map), size_of_val(&map)])
    }),
    attack!("hold up the kernel at page faults", NONE, NOBODY, |_| ask(libc::SYS_userfaultfd, &[0])),
    attack!("measure the kernel", NONE, NOBODY, |_| {
        let event =
            [0_u32, 112, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        ask(libc::SYS_perf_event_open, &[pointer(&event), 0, usize::MAX, usize::MAX, 0])
    }),
    attack!("have the kernel do it later", NONE, EVERYBODY, |_| {
        let parameters = [0_u32; 30];
        ask(libc::SYS_io_uring_setup, &[1, pointer(&parameters)])
    }),
    attack!("keep keys in the kernel", NONE, EVERYBODY, |_| {
        let (kind, name) = (text("user"), text("holm"));
        let (kind, name) = (pointer(kind.as_c_str()), pointer(name.as_c_str()));
        // Into the process's own keyring.
        ask(libc::SYS_add_key, &[kind, name, name, 4, number(-2)])
    }),
];
