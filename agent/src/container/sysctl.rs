//! `linux.sysctl`: kernel parameters of the container's own namespaces (config-linux.md "Sysctl").

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use crate::fault::{At, Fault};
use crate::oci::NamespaceKind;

/// IPC parameters that belong to the namespace.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// A checked parameter: its path below /proc/sys and its value.
pub(crate) type Parameter = (PathBuf, String);

/// Refuses parameters that are not the container's own: those of a namespace that it shares, and global ones.
pub(crate) fn check(
    sysctl: &HashMap<String, String>,
    has: impl Fn(NamespaceKind) -> bool,
) -> Result<Vec<Parameter>, Fault> {
    let mut parameters = Vec::with_capacity(sysctl.len());
    for (written, value) in sysctl {
        let name = dotted(written);
        let owner = if name.starts_with("net.") {
            Some(NamespaceKind::Network)
        } else if IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
            Some(NamespaceKind::Ipc)
        } else if name == "kernel.domainname" || name == "kernel.hostname" {
            Some(NamespaceKind::Uts)
        } else if name.starts_with("user.") {
            Some(NamespaceKind::User)
        } else {
            None
        };
        if !owner.is_some_and(&has) {
            return Err(Fault::invalid(format!("sysctl {written:?} is not in a separate kernel namespace")));
        }
        // Names of interfaces may hold dots, which then are written as slashes in the dotted form.
        let path: PathBuf = name.split('.').map(|part| part.replace('/', ".")).collect();
        parameters.push((path, value.clone()));
    }
    Ok(parameters)
}

/// Sets the parameters through a private procfs.
pub(crate) fn apply(parameters: &[Parameter], procfs: &OwnedFd) -> Result<(), Fault> {
    for (path, value) in parameters {
        let what = format!("setting sysctl {}", path.display());
        let how = OpenHow::new()
            .flags(OFlag::O_WRONLY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let file = openat2(procfs, &PathBuf::from("sys").join(path), how).refuse(&what)?;
        File::from(file).write_all(value.as_bytes()).refuse(&what)?;
    }
    Ok(())
}

/// sysctl(8) takes `net.ipv4.x` and `net/ipv4/x`: whichever separator comes first is the separator.
fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes().get(at) == Some(&b'/') => name
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str) -> Result<Vec<Parameter>, Fault> {
        let all = HashMap::from([(name.to_owned(), "1".to_owned())]);
        check(&all, |kind| matches!(kind, NamespaceKind::Network | NamespaceKind::Ipc))
    }

    #[test]
    fn only_the_containers_own_parameters_are_taken() {
        assert_eq!(checked("net.ipv4.ip_forward").unwrap(), [("net/ipv4/ip_forward".into(), "1".into())]);
        assert_eq!(checked("net/ipv4/conf/eth0.1/x").unwrap()[0].0, PathBuf::from("net/ipv4/conf/eth0.1/x"));
        assert!(checked("kernel.shmmax").is_ok());
        for other in ["kernel.core_pattern", "vm.swappiness", "kernel.hostname", "user.max_x", "net", ""] {
            assert!(checked(other).is_err(), "{other}");
        }
    }
}
