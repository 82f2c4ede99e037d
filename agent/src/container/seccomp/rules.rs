//! A profile's rules, sorted by system call number.

use std::collections::BTreeMap;

use super::condition::Condition;
use super::syscalls;
use crate::fault::Fault;
use crate::oci;

/// `SECCOMP_RET_*` with its data, as the filter returns it.
pub(super) type Action = u32;

/// What is to be done for one system call: the first alternative whose conditions all hold, else the default.
pub(super) type Alternatives = Vec<(Vec<Condition>, Action)>;

/// The value that a filter returns for an action; errno is EPERM unless said otherwise.
pub(super) fn action(action: oci::SeccompAction, errno: Option<u32>) -> Result<Action, Fault> {
    let data = errno.unwrap_or(libc::EPERM.unsigned_abs()) & libc::SECCOMP_RET_DATA;
    match action {
        oci::SeccompAction::KillThread => Ok(libc::SECCOMP_RET_KILL_THREAD),
        oci::SeccompAction::KillProcess => Ok(libc::SECCOMP_RET_KILL_PROCESS),
        oci::SeccompAction::Trap => Ok(libc::SECCOMP_RET_TRAP),
        oci::SeccompAction::Errno => Ok(libc::SECCOMP_RET_ERRNO | data),
        oci::SeccompAction::Trace => Ok(libc::SECCOMP_RET_TRACE | data),
        oci::SeccompAction::Log => Ok(libc::SECCOMP_RET_LOG),
        oci::SeccompAction::Allow => Ok(libc::SECCOMP_RET_ALLOW),
        oci::SeccompAction::Notify => Err(Fault::invalid("seccomp action SCMP_ACT_NOTIFY is not supported")),
    }
}

/// Sorts the rules by number, as libseccomp and runc do: names that this architecture lacks are skipped; a rule without
/// conditions wins over those with; among the others the first match wins; conditions on one and the same argument are
/// alternatives, on different ones they must all hold.
pub(super) fn collect(profile: &oci::Seccomp) -> Result<BTreeMap<u32, Alternatives>, Fault> {
    let default = action(profile.default_action, profile.default_errno_ret)?;
    let mut calls: BTreeMap<u32, Alternatives> = BTreeMap::new();
    for rule in &profile.syscalls {
        let action = action(rule.action, rule.errno_ret)?;
        if action == default {
            continue;
        }
        let alternatives = conditions(rule.args.as_deref().unwrap_or_default())?;
        for number in rule.names.iter().filter_map(|name| syscalls::number(name)) {
            let known = calls.entry(number).or_default();
            for conditions in &alternatives {
                if conditions.is_empty() {
                    known.retain(|(others, _)| others.is_empty());
                }
                if !known.iter().any(|(others, _)| others.is_empty()) {
                    known.push((conditions.clone(), action));
                }
            }
        }
    }
    Ok(calls)
}

fn conditions(args: &[oci::SeccompArg]) -> Result<Vec<Vec<Condition>>, Fault> {
    let conditions = args.iter().map(Condition::new).collect::<Result<Vec<_>, _>>()?;
    let repeated =
        args.iter().enumerate().any(|(i, arg)| args.iter().take(i).any(|other| other.index == arg.index));
    Ok(if repeated { conditions.into_iter().map(|one| vec![one]).collect() } else { vec![conditions] })
}
