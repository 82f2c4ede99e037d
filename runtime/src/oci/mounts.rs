//! The mounts of a bundle: file systems of the guest's own kernel, and files of the host that become shares.

use std::path::Path;

use oci_spec::runtime::Mount;

use super::error::OciError;
use crate::volume::Shares;

/// File systems that a guest makes for itself.
const GUESTS: [&str; 8] = ["proc", "sysfs", "tmpfs", "ramfs", "devpts", "mqueue", "cgroup", "cgroup2"];

/// Where POSIX shared memory is. Engines bind a tmpfs of the host there; shared memory over virtio-fs would be neither shared with
/// the host's processes nor fast, so it is a tmpfs of the guest's.
const SHARED_MEMORY: &str = "/dev/shm";

/// Refuses what cannot be.
pub(super) fn check(mounts: &[Mount]) -> Result<(), OciError> {
    for mount in mounts {
        let kind = mount.typ().as_deref().unwrap_or_default();
        let has_ids = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
        if has_ids || options(mount).any(|option| matches!(option, "idmap" | "ridmap")) {
            return Err(OciError::Impossible(format!("the ids of {} mapped", mount.destination().display())));
        }
        if !is_bind(mount) && !GUESTS.contains(&kind) {
            return Err(OciError::Impossible(format!(
                "a {kind} file system on {}",
                mount.destination().display()
            )));
        }
    }
    Ok(())
}

/// The mounts with the guest's places for what the host shares, and for its shared memory.
pub(super) fn for_guest(
    mounts: &[Mount],
    shares: &mut Shares,
    memory: &Path,
) -> Result<Vec<Mount>, OciError> {
    mounts.iter().map(|mount| one(mount, shares, memory)).collect()
}

/// A bind mount of the host's.
pub(super) struct Bind<'a> {
    pub(super) source: &'a Path,
    pub(super) destination: &'a Path,
    pub(super) is_recursive: bool,
}

/// What is bound of the host, as it is: the guest's shared memory is not.
pub(super) fn binds(mounts: &[Mount]) -> impl Iterator<Item = Bind<'_>> {
    mounts.iter().filter(|mount| is_bind(mount) && mount.destination() != Path::new(SHARED_MEMORY)).map(
        |mount| Bind {
            source: mount.source().as_deref().unwrap_or(Path::new("")),
            destination: mount.destination(),
            is_recursive: options(mount).any(|option| option == "rbind"),
        },
    )
}

fn one(mount: &Mount, shares: &mut Shares, memory: &Path) -> Result<Mount, OciError> {
    let mut guests = mount.clone();
    let is_memory = mount.destination() == Path::new(SHARED_MEMORY);
    if !is_bind(mount) {
        if is_memory && mount.typ().as_deref() == Some("tmpfs") {
            guests.set_source(Some(memory.to_owned()));
        }
        return Ok(guests);
    }
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    if is_memory && source.is_dir() {
        let mut options: Vec<String> = ["nosuid", "nodev", "noexec", "mode=1777"].map(str::to_owned).to_vec();
        options.extend(size_of(source).map(|bytes| format!("size={bytes}")));
        guests
            .set_typ(Some("tmpfs".to_owned()))
            .set_source(Some(memory.to_owned()))
            .set_options(Some(options));
        return Ok(guests);
    }
    let is_read_only = options(mount).any(|option| matches!(option, "ro" | "rro"));
    let mut kept: Vec<String> = options(mount).map(str::to_owned).collect();
    let place = shares.add_bind(source, is_read_only, &mut kept)?;
    guests.set_typ(Some("bind".to_owned())).set_source(Some(place)).set_options(Some(kept));
    Ok(guests)
}

/// How much fits into a tmpfs of the host.
fn size_of(directory: &Path) -> Option<u64> {
    let status = rustix::fs::statfs(directory).ok()?;
    let block_bytes = u64::try_from(status.f_bsize).ok()?;
    let is_tmpfs = u64::try_from(status.f_type).ok()? == u64::try_from(nix::libc::TMPFS_MAGIC).ok()?;
    status.f_blocks.checked_mul(block_bytes).filter(|bytes| is_tmpfs && *bytes > 0)
}

fn is_bind(mount: &Mount) -> bool {
    let kind = mount.typ().as_deref().unwrap_or_default();
    matches!(kind, "bind" | "rbind") || options(mount).any(|option| matches!(option, "bind" | "rbind"))
}

fn options(mount: &Mount) -> impl Iterator<Item = &str> {
    mount.options().as_deref().unwrap_or_default().iter().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(json: serde_json::Value) -> Mount {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_hosts_files_are_shared_as_they_may_be_used() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hosts"), "").unwrap();
        let bind = |source: &str, options: &[&str]| {
            let source = dir.path().join(source);
            let destination = "/x";
            mount(serde_json::json!({"destination": destination, "source": source, "options": options}))
        };
        let mut shares = Shares::default();
        let mounts = [bind("hosts", &["bind", "rprivate"]), bind(".", &["rbind", "ro"])];
        let guests = for_guest(&mounts, &mut shares, Path::new("/m")).unwrap();
        assert_eq!(guests[0].source().as_deref(), Some(Path::new("/run/shares/0/hosts")));
        assert_eq!(guests[1].source().as_deref(), Some(Path::new("/run/shares/1")));
        assert_eq!(guests[1].options(), mounts[1].options());
        let access: Vec<_> = shares.configs.iter().map(|share| share.read_only).collect();
        assert_eq!(access, [false, true]);
        assert!(for_guest(&[bind("gone", &["bind"])], &mut shares, Path::new("/m")).is_err());
    }

    #[test]
    fn shared_memory_is_the_guests() {
        let shm = mount(serde_json::json!({"destination": "/dev/shm", "type": "bind", "source": "/dev",
                                           "options": ["bind"]}));
        let tmpfs = mount(serde_json::json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm"}));
        let mut shares = Shares::default();
        let guests = for_guest(&[shm, tmpfs], &mut shares, Path::new("/m")).unwrap();
        for memory in &guests {
            assert_eq!(
                (memory.typ().as_deref(), memory.source().as_deref()),
                (Some("tmpfs"), Some(Path::new("/m")))
            );
        }
        assert!(shares.configs.is_empty());
    }

    #[test]
    fn other_file_systems_of_the_host_are_refused() {
        let refused = |json| check(&[mount(json)]).unwrap_err().to_string();
        let nfs = serde_json::json!({"destination": "/x", "type": "nfs", "source": "a:/b"});
        assert!(refused(nfs).contains("a nfs file system on /x"));
        let mapped =
            serde_json::json!({"destination": "/x", "type": "bind", "source": "/", "options": ["idmap"]});
        assert!(refused(mapped).contains("mapped"));
        let proc = serde_json::json!({"destination": "/proc", "type": "proc", "source": "proc"});
        check(&[mount(proc)]).unwrap();
    }
}
