//! What the lines of a trace say about the threads of VMMs: which filters each is under, and what it asked for under them.

use std::collections::{BTreeMap, HashMap};

use holm_vmm::jail::{Allowed, Role};

/// `__NR_seccomp` of x86-64.
const SECCOMP: u32 = 317;
/// `SECCOMP_SET_MODE_FILTER`
const SET_FILTER: u64 = 1;
/// `__NR_ioctl` of x86-64.
const IOCTL: u32 = 16;

/// `KVM_RUN` of linux/kvm.h.
pub(super) const KVM_RUN: u64 = 0xae80;

/// The probe where a filter ends a process.
pub(super) const REFUSED: &str = "holm_refused";

/// The table, and how often each of its entries was made use of.
#[derive(Debug)]
pub(super) struct Threads {
    entries: BTreeMap<Role, Vec<(Allowed, u64)>>,
    /// Made, and not in the table.
    pub(super) strange: BTreeMap<(Role, u32), u64>,
    /// Tried, which ended the VMM.
    pub(super) refused: BTreeMap<(Role, u32), u64>,
    /// Threads of VMMs that live, by number: the roles whose filters they are under.
    filters: HashMap<u32, Vec<Role>>,
    /// And those of them that have a name of their own, which tells what they are for.
    roles: HashMap<u32, Role>,
    pub(super) vmms: u64,
    /// What first told that something is missing.
    pub(super) lost: Option<String>,
}

impl Threads {
    pub(super) fn new() -> Self {
        let of = |role| (role, Allowed::of(role).into_iter().map(|call| (call, 0)).collect());
        Self {
            entries: Role::ALL.into_iter().map(of).collect(),
            strange: BTreeMap::new(),
            refused: BTreeMap::new(),
            filters: HashMap::new(),
            roles: HashMap::new(),
            vmms: 0,
            lost: None,
        }
    }

    /// What each role may do, and how often it did.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Role, &Allowed, u64)> {
        self.entries.iter().flat_map(|(role, calls)| calls.iter().map(|(call, times)| (*role, call, *times)))
    }

    /// Takes in a line of trace_pipe.
    pub(super) fn read(&mut self, line: &str) {
        if line.starts_with("CPU:") && line.contains("LOST") {
            self.lost.get_or_insert_with(|| line.to_owned());
        }
        // `  vcpu0-370     [001] .....   269.612: sys_enter: NR 12 (0, c, 3f, 0, 2, 7fc551671e64)`
        let thread = line.split_whitespace().next().and_then(|name| name.rsplit_once('-'));
        let (Some((_, thread)), Some((_, event))) = (thread, line.split_once(": ")) else { return };
        let Ok(thread) = thread.parse() else { return };
        if let Some(call) = event.strip_prefix("sys_enter: NR ") {
            let mut numbers = call.split(['(', ')', ',', ' ']).filter(|word| !word.is_empty());
            let Some(Ok(number)) = numbers.next().map(str::parse) else { return };
            let mut arguments = [0; 6];
            for (argument, word) in arguments.iter_mut().zip(numbers) {
                *argument = u64::from_str_radix(word, 16).unwrap_or_default();
            }
            self.asked(thread, number, arguments);
        } else if let Some(request) = event.strip_prefix("sys_ioctl(").and_then(|_| value(event, "cmd: ")) {
            let request = u64::from_str_radix(request, 16).unwrap_or_default();
            self.asked(thread, IOCTL, [0, request, 0, 0, 0, 0]);
        } else if event.starts_with(REFUSED) {
            let number = value(event, "number=").and_then(|number| number.parse().ok()).unwrap_or_default();
            *self.refused.entry((self.role(thread), number)).or_default() += 1;
        } else if event.starts_with("sched_process_fork: ") {
            let child = value(event, "child_pid=").and_then(|child| child.parse().ok());
            if let (Some(child), Some(filters)) = (child, self.filters.get(&thread)) {
                self.filters.insert(child, filters.clone());
                self.roles.remove(&child);
            }
        } else if event.starts_with("task_rename: ") {
            if let Some(name) = value(event, "newcomm=") {
                self.roles.insert(thread, role_of(name));
            }
        } else if event.starts_with("sched_process_exec: ") {
            self.vmms += 1;
            self.filters.insert(thread, Vec::new());
            self.roles.remove(&thread);
        }
    }

    /// What a thread is for. The name in front of a line is no help: the kernel looks it up when the line is read, in a list that it
    /// brings up to date when a thread sleeps.
    fn role(&self, thread: u32) -> Role {
        self.roles.get(&thread).copied().unwrap_or(Role::Main)
    }

    fn asked(&mut self, thread: u32, number: u32, arguments: [u64; 6]) {
        let its_role = self.role(thread);
        let Some(filters) = self.filters.get_mut(&thread) else { return };
        for role in filters.iter() {
            let calls = self.entries.get_mut(role).map(Vec::as_mut_slice).unwrap_or_default();
            match calls.iter_mut().find(|(call, _)| call.covers(number, arguments)) {
                Some((_, times)) => *times += 1,
                None => *self.strange.entry((*role, number)).or_default() += 1,
            }
        }
        if number == SECCOMP && arguments[0] == SET_FILTER {
            filters.push(its_role);
            // The trace leaves it out, of which there would be too many.
            if its_role == Role::Vcpu {
                self.asked(thread, IOCTL, [0, KVM_RUN, 0, 0, 0, 0]);
            }
        }
    }
}

/// The role of a thread of this name.
fn role_of(name: &str) -> Role {
    match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "vcpu" => Role::Vcpu,
        "shares" => Role::Shares,
        name if name.starts_with("disk-") => Role::Disk,
        name if name.starts_with("net-") => Role::Network,
        _ => Role::Main,
    }
}

/// The word behind a name.
fn value<'a>(event: &'a str, name: &str) -> Option<&'a str> {
    event.split_once(name).and_then(|(_, rest)| rest.split([' ', ',', ')', '\n']).next())
}

#[test]
fn a_thread_is_under_its_own_filter_and_those_of_who_started_it() {
    let trace = "
        holm-vmm-359 [001] ..... 267.972286: sched_process_exec: filename=/usr/libexec/holm-vmm pid=359 old_pid=359
        holm-vmm-359 [001] ..... 268.016781: sys_enter: NR 41 (0, c, 3f, 0, 2, 7fc551671e64)
        holm-vmm-359 [002] ..... 269.426458: sched_process_fork: comm=holm-vmm pid=359 child_comm=holm-vmm child_pid=367
        holm-vmm-359 [001] ..... 269.500000: sys_enter: NR 317 (1, 0, 7fc551a52e18, 0, 7fc52c000048, 3a8)
        holm-vmm-359 [002] ..... 269.600000: sched_process_fork: comm=holm-vmm pid=359 child_comm=holm-vmm child_pid=368
        holm-vmm-367 [001] ..... 269.650000: task_rename: pid=367 oldcomm=holm-vmm newcomm=disk-image oom_score_adj=0
        holm-vmm-367 [001] ..... 269.700000: sys_enter: NR 317 (1, 0, 7fc551a52e18, 0, 7fc52c000048, 3a8)
        disk-image-367 [001] ..... 269.800000: sys_enter: NR 295 (5, 0, 1, 0, 0, 0)
        <...>-368 [001] ..... 269.850000: task_rename: pid=368 oldcomm=holm-vmm newcomm=net-5 oom_score_adj=0
        net-5-368 [001] ..... 269.900000: sys_enter: NR 317 (1, 0, 7fc551a52e18, 0, 7fc52c000048, 3a8)
        net-5-368 [001] ..... 269.900000: sys_enter: NR 72 (3, 1, 0, 0, 0, 0)
        net-5-368 [001] ..... 269.900000: sys_enter: NR 41 (3, 1, 0, 0, 0, 0)
        holm-vmm-369 [001] ..... 269.900000: task_rename: pid=369 oldcomm=holm-vmm newcomm=vcpu0 oom_score_adj=0
        vcpu0-369 [001] ..... 269.900000: holm_refused_4711: (force_sig_seccomp+0x0/0xb0) number=57
        net-5-999 [001] ..... 269.900000: sys_enter: NR 295 (3, 1, 0, 0, 0, 0)
    ";
    let mut threads = Threads::new();
    trace.lines().for_each(|line| threads.read(line));
    let times = |role, number| {
        let of = |entry: &(Role, &Allowed, u64)| entry.0 == role && entry.1.number == number;
        threads.entries().filter(of).map(|entry| entry.2).sum::<u64>()
    };
    assert_eq!((times(Role::Disk, 295), times(Role::Main, 295)), (1, 0));
    // The thread that started later asked for its filter under that of its parent.
    assert_eq!((times(Role::Main, SECCOMP), times(Role::Main, 72)), (1, 1));
    let strange: Vec<_> = threads.strange.keys().copied().collect();
    assert_eq!(strange, [(Role::Main, 41), (Role::Network, 41)]);
    assert_eq!(threads.refused.keys().collect::<Vec<_>>(), [&(Role::Vcpu, 57)]);
    assert!(threads.vmms == 1 && threads.lost.is_none());
}
