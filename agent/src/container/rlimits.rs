//! Resource limits of a process (config.md "rlimits", getrlimit(2)).

use nix::sys::resource::{Resource, setrlimit};

use crate::fault::{At, Fault};
use crate::oci;

/// One checked limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    resource: Resource,
    soft: u64,
    hard: u64,
}

/// Checks the limits: known, each once, soft not above hard.
pub(crate) fn check(rlimits: &[oci::Rlimit]) -> Result<Vec<Limit>, Fault> {
    let mut limits: Vec<Limit> = Vec::new();
    for rlimit in rlimits {
        let Some(resource) = resource(&rlimit.kind) else {
            return Err(Fault::invalid(format!("unknown resource limit {:?}", rlimit.kind)));
        };
        if limits.iter().any(|limit| limit.resource == resource) {
            return Err(Fault::invalid(format!("{} is given twice", rlimit.kind)));
        }
        if rlimit.soft > rlimit.hard {
            return Err(Fault::invalid(format!(
                "{}: soft limit {} is above hard limit {}",
                rlimit.kind, rlimit.soft, rlimit.hard
            )));
        }
        limits.push(Limit { resource, soft: rlimit.soft, hard: rlimit.hard });
    }
    Ok(limits)
}

/// Sets the limits of this process.
pub(crate) fn apply(limits: &[Limit]) -> Result<(), Fault> {
    limits.iter().try_for_each(|limit| {
        setrlimit(limit.resource, limit.soft, limit.hard)
            .at(format_args!("setting {:?} to {}:{}", limit.resource, limit.soft, limit.hard))
    })
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(kind: &str, soft: u64, hard: u64) -> oci::Rlimit {
        oci::Rlimit { kind: kind.into(), soft, hard }
    }

    #[test]
    fn limits_are_checked() {
        let sound = [limit("RLIMIT_NOFILE", 1024, 4096), limit("RLIMIT_CORE", 0, u64::MAX)];
        assert_eq!(check(&sound).unwrap().len(), 2);
        assert!(check(&[limit("RLIMIT_HOPE", 1, 1)]).is_err());
        assert!(check(&[limit("RLIMIT_CPU", 2, 1)]).is_err());
        assert!(check(&[limit("RLIMIT_CPU", 1, 1), limit("RLIMIT_CPU", 1, 1)]).is_err());
    }
}
