//! Which capabilities the workload gets: Docker's default set, changed by `--cap-add`, `--cap-drop`, `--privileged`.

use std::collections::HashSet;

use oci_spec::runtime::{Capability, LinuxCapabilities};

use crate::container::settings::{CapabilityName, Settings};

const DEFAULT: &[Capability] = &[
    Capability::AuditWrite,
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Mknod,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

const ALL: &[Capability] = &[
    Capability::AuditControl,
    Capability::AuditRead,
    Capability::AuditWrite,
    Capability::BlockSuspend,
    Capability::Bpf,
    Capability::CheckpointRestore,
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::Kill,
    Capability::Lease,
    Capability::LinuxImmutable,
    Capability::MacAdmin,
    Capability::MacOverride,
    Capability::Mknod,
    Capability::NetAdmin,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetRaw,
    Capability::Perfmon,
    Capability::Setgid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysChroot,
    Capability::SysModule,
    Capability::SysNice,
    Capability::SysPacct,
    Capability::SysPtrace,
    Capability::SysRawio,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Syslog,
    Capability::WakeAlarm,
];

/// The set that the settings ask for: `ALL` in either list first, then the named ones (a dropped one is gone even when
/// it was added by name as part of `ALL`; an explicitly added one wins over `--cap-drop ALL`).
pub(super) fn chosen(settings: &Settings) -> HashSet<Capability> {
    if settings.privileged {
        return ALL.iter().copied().collect();
    }
    let named = |list: &[CapabilityName]| -> Vec<Capability> {
        list.iter()
            .filter_map(|name| match name {
                CapabilityName::All => None,
                CapabilityName::One(capability) => Some(*capability),
            })
            .collect()
    };
    let mut set: HashSet<Capability> = if settings.cap_add.contains(&CapabilityName::All) {
        ALL.iter().copied().collect()
    } else if settings.cap_drop.contains(&CapabilityName::All) {
        HashSet::new()
    } else {
        DEFAULT.iter().copied().collect()
    };
    for capability in named(&settings.cap_drop) {
        set.remove(&capability);
    }
    set.extend(named(&settings.cap_add));
    set
}

/// The OCI sets. As in Docker a user other than root starts with none in effect and may gain the bounding set through
/// file capabilities or setuid programs.
pub(super) fn sets(chosen: &HashSet<Capability>, root: bool) -> LinuxCapabilities {
    let effective = if root { chosen.clone() } else { HashSet::new() };
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(chosen.clone()))
        .set_effective(Some(effective.clone()))
        .set_permitted(Some(effective))
        .set_inheritable(Some(HashSet::new()))
        .set_ambient(Some(HashSet::new()));
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(add: &[&str], drop: &[&str]) -> HashSet<Capability> {
        let names = |list: &[&str]| list.iter().map(|n| n.parse().unwrap()).collect();
        chosen(&Settings { cap_add: names(add), cap_drop: names(drop), ..Settings::default() })
    }

    #[test]
    fn adding_and_dropping_follow_docker() {
        assert_eq!(with(&[], &[]).len(), 14);
        assert!(with(&["NET_ADMIN"], &[]).contains(&Capability::NetAdmin));
        assert!(!with(&[], &["MKNOD"]).contains(&Capability::Mknod));
        assert_eq!(with(&[], &["ALL"]), HashSet::new());
        assert_eq!(with(&["CHOWN"], &["ALL"]), HashSet::from([Capability::Chown]));
        assert_eq!(with(&["ALL"], &["MKNOD"]).len(), ALL.len() - 1);
    }

    #[test]
    fn only_root_starts_with_capabilities_in_effect() {
        let set = with(&[], &[]);
        assert_eq!(sets(&set, false).effective().as_ref().map(HashSet::len), Some(0));
        assert_eq!(sets(&set, false).bounding().as_ref().map(HashSet::len), Some(14));
        assert_eq!(sets(&set, true).effective().as_ref().map(HashSet::len), Some(14));
    }
}
