//! Which namespaces a container gets (config-linux.md "Namespaces").

use crate::fault::Fault;
use crate::oci::{Linux, NamespaceKind};

/// `CLONE_NEW*` bits by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespaces(u64);

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

impl Namespaces {
    /// Checks what is asked for.
    ///
    /// # Errors
    /// A path (there is nothing to join in the guest), a kind twice, no mount namespace (the root would be the
    /// guest's), and a user namespace (the VM is the stronger boundary).
    pub(crate) fn new(linux: &Linux) -> Result<Self, Fault> {
        let mut all = 0;
        for namespace in &linux.namespaces {
            let kind = namespace.kind;
            if !namespace.path.as_os_str().is_empty() {
                let path = namespace.path.display();
                return Err(Fault::invalid(format!("{kind:?} namespace {path} cannot be joined from a VM")));
            }
            if all & flag(kind) != 0 {
                return Err(Fault::invalid(format!("{kind:?} namespace is given twice")));
            }
            all |= flag(kind);
        }
        let namespaces = Self(all);
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

    /// Whether the container has its own of this kind.
    pub(crate) fn has(self, kind: NamespaceKind) -> bool {
        self.0 & flag(kind) != 0
    }

    /// Made by the clone.
    pub(crate) fn at_clone(self) -> u64 {
        self.0 & AT_CLONE
    }

    /// Joined by setns(2) for a further process, but for the pid namespace, which only children enter.
    pub(crate) fn to_join(self) -> libc::c_int {
        libc::c_int::try_from(self.0 & !flag(NamespaceKind::Pid)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces(json: &str) -> Result<Namespaces, Fault> {
        Namespaces::new(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn dockers_namespaces() {
        let docker = r#"{"namespaces": [{"type": "mount"}, {"type": "network"}, {"type": "uts"}, {"type": "pid"},
            {"type": "ipc"}, {"type": "cgroup"}]}"#;
        let docker = namespaces(docker).unwrap();
        assert!(docker.has(NamespaceKind::Cgroup) && !docker.has(NamespaceKind::Time));
        assert_eq!(
            docker.at_clone() & bits(libc::CLONE_NEWCGROUP),
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
            r#"{"namespaces": [{"type": "mount"}, {"type": "network", "path": "/proc/1/ns/net"}]}"#,
            r#"{"namespaces": [{"type": "mount"}, {"type": "user"}]}"#,
            r#"{"namespaces": [{"type": "mount"}], "timeOffsets": {"monotonic": {"secs": 1}}}"#,
        ] {
            assert!(namespaces(json).is_err(), "{json}");
        }
    }
}
