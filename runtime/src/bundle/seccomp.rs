//! Docker's default seccomp profile (docs.docker.com, "Seccomp security profiles for Docker"): an allow list, refused
//! with EPERM, with what a granted capability adds.
//!
//! Two answers differ from EPERM: `clone3` gives ENOSYS so that C libraries fall back to `clone`, whose flags a filter
//! can read; and sockets of the vsock family are refused because they would reach the host's side of the VM.

use std::collections::HashSet;

use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator, LinuxSyscall,
};

const ALLOWED: &str = include_str!("seccomp_allowed.txt");

/// What a capability adds (names as in the allow list).
const BY_CAPABILITY: &[(Capability, &[&str])] = &[
    (Capability::DacReadSearch, &["open_by_handle_at"]),
    (
        Capability::SysAdmin,
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    (Capability::SysBoot, &["reboot"]),
    (Capability::SysChroot, &["chroot"]),
    (Capability::SysModule, &["delete_module", "finit_module", "init_module"]),
    (Capability::SysPacct, &["acct"]),
    (
        Capability::SysPtrace,
        &["kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"],
    ),
    (Capability::SysRawio, &["ioperm", "iopl"]),
    (Capability::SysTime, &["clock_settime", "settimeofday"]),
    (Capability::SysTtyConfig, &["vhangup"]),
    (Capability::SysNice, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    (Capability::Syslog, &["syslog"]),
    (Capability::Bpf, &["bpf"]),
    (Capability::Perfmon, &["perf_event_open"]),
];

/// Values of personality(2) that the profile lets through.
const PERSONALITIES: &[u64] = &[0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// clone(2) flags that make namespaces (CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET).
const CLONE_NAMESPACES: u64 = 0x7e02_0000;

/// AF_VSOCK.
const VSOCK_FAMILY: u64 = 40;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

fn argument(op: LinuxSeccompOperator, value: u64, value_two: Option<u64>) -> LinuxSeccompArg {
    let builder = LinuxSeccompArgBuilder::default().index(0_usize).value(value).op(op);
    let builder = match value_two {
        Some(second) => builder.value_two(second),
        None => builder,
    };
    // Every field is set, which is all that the builder can miss.
    builder.build().unwrap_or_default()
}

fn rule(names: Vec<String>, action: LinuxSeccompAction, argument: Option<LinuxSeccompArg>) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(names).set_action(action).set_args(argument.map(|a| vec![a]));
    rule
}

/// The profile for a workload that may hold `capabilities`.
pub(super) fn default_profile(capabilities: &HashSet<Capability>) -> LinuxSeccomp {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let allow = LinuxSeccompAction::ScmpActAllow;
    let listed = ALLOWED.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let mut rules = vec![
        rule(listed.map(str::to_owned).collect(), allow, None),
        rule(owned(&["socket"]), allow, Some(argument(LinuxSeccompOperator::ScmpCmpNe, VSOCK_FAMILY, None))),
    ];
    rules.extend(PERSONALITIES.iter().map(|&value| {
        let equal = argument(LinuxSeccompOperator::ScmpCmpEq, value, None);
        rule(owned(&["personality"]), allow, Some(equal))
    }));
    for (capability, names) in BY_CAPABILITY {
        if capabilities.contains(capability) {
            rules.push(rule(owned(names), allow, None));
        }
    }
    if !capabilities.contains(&Capability::SysAdmin) {
        let no_namespaces = argument(LinuxSeccompOperator::ScmpCmpMaskedEq, CLONE_NAMESPACES, Some(0));
        rules.push(rule(owned(&["clone"]), allow, Some(no_namespaces)));
        let mut clone3 = rule(owned(&["clone3"]), LinuxSeccompAction::ScmpActErrno, None);
        clone3.set_errno_ret(Some(ENOSYS));
        rules.push(clone3);
    }
    let mut profile = LinuxSeccomp::default();
    profile
        .set_default_action(LinuxSeccompAction::ScmpActErrno)
        .set_default_errno_ret(Some(EPERM))
        .set_architectures(Some(vec![Arch::ScmpArchX86_64]))
        .set_syscalls(Some(rules));
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(capabilities: &[Capability]) -> HashSet<String> {
        let profile = default_profile(&capabilities.iter().copied().collect());
        let rules = profile.syscalls().clone().unwrap_or_default();
        let allowed = rules.iter().filter(|r| r.action() == LinuxSeccompAction::ScmpActAllow);
        allowed.flat_map(|r| r.names().clone()).collect()
    }

    #[test]
    fn dangerous_calls_need_their_capability() {
        let plain = names(&[]);
        for name in ["mount", "bpf", "unshare", "setns", "reboot", "kexec_load", "io_uring_setup", "clone3"] {
            assert!(!plain.contains(name), "{name}");
        }
        for name in ["read", "execve", "openat2", "futex", "socket", "clone", "ptrace", "rseq"] {
            assert!(plain.contains(name), "{name}");
        }
        assert!(names(&[Capability::SysAdmin]).contains("mount"));
    }

    #[test]
    fn the_masked_comparison_has_mask_then_value() {
        // OCI runtime-spec config-linux.md: SCMP_CMP_MASKED_EQ takes the mask in `value` and the datum in `valueTwo`.
        let profile = default_profile(&HashSet::new());
        let rules = profile.syscalls().clone().unwrap_or_default();
        let clone = rules.iter().find(|r| r.names().contains(&"clone".to_owned())).unwrap();
        let argument = clone.args().clone().unwrap()[0];
        assert_eq!((argument.value(), argument.value_two()), (CLONE_NAMESPACES, Some(0)));
    }
}
