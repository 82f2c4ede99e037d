//! A VMM that a guest has taken over: started by the runtime as any other, with the same configuration, and confined by the very
//! code of the release. Then it attacks, each time in a process of its own: once without a filter, where the other walls must hold,
//! and once for each role's filter.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::exit;

use holm_vmm::arguments::{self, Arguments};
use holm_vmm::jail::{self, Role};
use holm_vmm::{config_fd, parent};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::attacks::{ATTACKS, Attack, Loot, ask};
use crate::targets::Targets;

/// What a process that could not be confined ends with.
const NOT_CONFINED: i32 = 255;

/// How an attack went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum End {
    /// The filter ended the process.
    Killed,
    /// The error's number.
    Denied(i32),
    Done,
}

/// One attack's, under a role's filter or none.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Outcome {
    pub(crate) filter: Option<String>,
    pub(crate) attack: String,
    pub(crate) end: End,
}

/// The process.
pub(crate) fn run(targets: &str) -> ! {
    let targets: Targets = serde_json::from_str(targets).unwrap();
    let Ok(Arguments::Run { config_fd, parent }) = arguments::parse(std::env::args_os().skip(1)) else {
        panic!("no VMM's arguments")
    };
    parent.map_or(Ok(()), parent::end_with).unwrap();
    let config = config_fd::read(config_fd).unwrap();
    let mut report = File::create(&targets.report).unwrap();
    let share = config.shares.first().map(|share| {
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let directory = OpenOptions::new().read(true).custom_flags(flags).open(&share.directory).unwrap();
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::AT_EMPTY_PATH;
        // As `devices::virtio::fs::share` does.
        open_tree(&directory, "", flags).unwrap_or_else(|_| directory.into())
    });
    let loot = Loot { targets, network: File::open("/proc/self/ns/net").unwrap().into(), share };
    jail::enter(&config, parent).unwrap();
    let mut outcomes = Vec::new();
    for role in [None].into_iter().chain(Role::ALL.map(Some)) {
        for attack in ATTACKS {
            let end = apart(attack, &loot, role);
            let filter = role.map(|role| format!("{role:?}"));
            outcomes.push(Outcome { filter, attack: attack.name.to_owned(), end });
        }
    }
    report.write_all(&serde_json::to_vec(&outcomes).unwrap()).unwrap();
    exit(0)
}

/// Attacks in a process of its own.
fn apart(attack: &Attack, loot: &Loot, role: Option<Role>) -> End {
    let child = ask(libc::SYS_fork, &[]).expect("fork");
    if child == 0 {
        let is_confined = role.map_or(Ok(()), jail::confine_this_thread).is_ok();
        let status = if is_confined { (attack.attempt)(loot).err().unwrap_or(0) } else { NOT_CONFINED };
        // At once, as what is buffered is the parent's; and by the call that every role has.
        let _ = ask(libc::SYS_exit, &[status.cast_unsigned() as usize]);
        unreachable!("it has ended")
    }
    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    let (_, status) = waitpid(child, WaitOptions::empty()).expect("wait").expect("it ended");
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => End::Done,
        (Some(status), _) if status != NOT_CONFINED => End::Denied(status),
        (_, Some(libc::SIGSYS)) => End::Killed,
        _ => panic!("{}: {status:?}", attack.name),
    }
}
