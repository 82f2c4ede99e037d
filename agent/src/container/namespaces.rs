//! Which namespaces a container gets (config-linux.md "Namespaces").

use nix::sched::CloneFlags;

use crate::fault::Fault;
use crate::oci::{Linux, NamespaceKind};

/// `CLONE_NEW*` bits by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespaces {
    /// Not the guest's.
    all: u64,
    /// Those of them that are another container's, too.
    joined: u64,
}

/// What containers of a guest may have in common.
const JOINABLE: u64 =
    bits(libc::CLONE_NEWNET) | bits(libc::CLONE_NEWIPC) | bits(libc::CLONE_NEWUTS) | bits(libc::CLONE_NEWPID);

/// Set at the clone; the rest is unshared by the child itself.
const AT_CLONE: u64 = bits(libc::CLONE_NEWPID)
    | bits(libc::CLONE_NEWNS)
    | bits(libc::CLONE_NEWUTS)
    | bits(libc::CLONE_NEWIPC)
    | bits(libc::CLONE_NEWNET);

const fn bits(flag: libc::c_int) -> u64 {
    flag.unsigned_abs() as u64
}

const fn flag(kind: NamespaceKind) -> u64 {
    match kind {
        NamespaceKind::Pid => bits(libc::CLONE_NEWPID),
        NamespaceKind::Network => bits(libc::CLONE_NEWNET),
        NamespaceKind::Mount => bits(libc::CLONE_NEWNS),
        NamespaceKind::Ipc => bits(libc::CLONE_NEWIPC),
        NamespaceKind::Uts => bits(libc::CLONE_NEWUTS),
        NamespaceKind::User => bits(libc::CLONE_NEWUSER),
        NamespaceKind::Cgroup => bits(libc::CLONE_NEWCGROUP),
        NamespaceKind::Time => bits(libc::CLONE_NEWTIME),
    }
}

/// For setns(2).
pub(crate) fn flags_of(kind: NamespaceKind) -> CloneFlags {
    CloneFlags::from_bits_retain(libc::c_int::try_from(flag(kind)).unwrap_or_default())
}

impl Namespaces {
    /// Checks what is asked for.
    ///
    /// # Errors
    /// A namespace of others that they keep for themselves, a kind twice, no mount namespace (the root would be the guest's), and a user
    /// namespace (the VM is the stronger boundary).
    pub(crate) fn new(linux: &Linux) -> Result<Self, Fault> {
        let (mut all, mut joined) = (0, 0);
        for namespace in &linux.namespaces {
            let kind = namespace.kind;
            let has_path = !namespace.path.as_os_str().is_empty();
            if has_path && flag(kind) & JOINABLE != 0 {
                joined |= flag(kind);
            } else if has_path {
                let path = namespace.path.display();
                return Err(Fault::invalid(format!("{kind:?} namespace {path} cannot be joined from a VM")));
            }
            if all & flag(kind) != 0 {
                return Err(Fault::invalid(format!("{kind:?} namespace is given twice")));
            }
            all |= flag(kind);
        }
        let namespaces = Self { all, joined };
        if !namespaces.has(NamespaceKind::Mount) {
            return Err(Fault::invalid("a container needs a mount namespace of its own"));
        }
        if namespaces.has(NamespaceKind::User) {
            return Err(Fault::invalid("user namespaces are not supported"));
        }
        if !linux.time_offsets.is_empty() && !namespaces.has(NamespaceKind::Time) {
            return Err(Fault::invalid("time offsets need a time namespace"));
        }
        Ok(namespaces)
    }

    /// Whether the container has one of this kind that is not the guest's.
    pub(crate) fn has(self, kind: NamespaceKind) -> bool {
        self.all & flag(kind) != 0
    }

    /// Whether it is the container's own, which is made with it.
    pub(crate) fn makes(self, kind: NamespaceKind) -> bool {
        self.has(kind) && !self.joins(kind)
    }

    /// Whether it is another container's.
    pub(crate) fn joins(self, kind: NamespaceKind) -> bool {
        self.joined & flag(kind) != 0
    }

    /// Made by the clone; a network namespace only if there is none yet.
    pub(crate) fn at_clone(self, has_network: bool) -> u64 {
        let there = if has_network { flag(NamespaceKind::Network) } else { 0 };
        self.all & AT_CLONE & !self.joined & !there
    }

    /// Joined by setns(2) for a further process, but for the pid namespace, which only children enter.
    pub(crate) fn to_join(self) -> libc::c_int {
        libc::c_int::try_from(self.all & !flag(NamespaceKind::Pid)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces(json: &str) -> Result<Namespaces, Fault> {
        Namespaces::new(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn namespaces_of_others_are_joined_as_asked() {
        let json = r#"{"namespaces": [{"type": "mount"}, {"type": "network", "path": "other"}, {"type": "uts"},
            {"type": "pid"}, {"type": "ipc"}]}"#;
        let own_pids = namespaces(json).unwrap();
        let made = [libc::CLONE_NEWNS, libc::CLONE_NEWUTS, libc::CLONE_NEWPID, libc::CLONE_NEWIPC];
        assert_eq!(own_pids.at_clone(false), made.into_iter().map(bits).sum::<u64>());
        assert!(own_pids.makes(NamespaceKind::Pid) && !own_pids.makes(NamespaceKind::Network));
        let shared = namespaces(&json.replace(r#""pid""#, r#""pid", "path": "other""#)).unwrap();
        assert!(shared.joins(NamespaceKind::Pid) && shared.has(NamespaceKind::Pid));
        let mounts = r#"{"namespaces": [{"type": "mount", "path": "other"}]}"#;
        assert!(namespaces(mounts).is_err());
    }

    #[test]
    fn dockers_namespaces() {
        let docker = r#"{"namespaces": [{"type": "mount"}, {"type": "network"}, {"type": "uts"}, {"type": "pid"},
            {"type": "ipc"}, {"type": "cgroup"}]}"#;
        let docker = namespaces(docker).unwrap();
        assert!(docker.has(NamespaceKind::Cgroup) && !docker.has(NamespaceKind::Time));
        assert_eq!(
            docker.at_clone(false) & bits(libc::CLONE_NEWCGROUP),
            0,
            "it would be rooted at the agent's cgroup"
        );
        assert_eq!(docker.to_join() & libc::CLONE_NEWPID, 0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for json in [
            "{}",
            r#"{"namespaces": [{"type": "mount"}, {"type": "mount"}]}"#,
            r#"{"namespaces": [{"type": "mount"}, {"type": "cgroup", "path": "other"}]}"#,
            r#"{"namespaces": [{"type": "mount"}, {"type": "user"}]}"#,
            r#"{"namespaces": [{"type": "mount"}], "timeOffsets": {"monotonic": {"secs": 1}}}"#,
        ] {
            assert!(namespaces(json).is_err(), "{json}");
        }
    }
}
