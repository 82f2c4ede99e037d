//! The mounts of every container: Docker's defaults, the user's tmpfs mounts, and what of the host it sees.

use std::path::PathBuf;

use oci_spec::runtime::{Mount, Spec};

use crate::container::settings::Settings;

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(PathBuf::from(destination))
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(PathBuf::from(source)))
        .set_options(Some(options.iter().map(|o| (*o).to_owned()).collect()));
    mount
}

/// In the order in which they are mounted: a user's tmpfs replaces a default on the same path.
pub(super) fn mounts(settings: &Settings) -> Vec<Mount> {
    let access = if settings.privileged { "rw" } else { "ro" };
    let shm_size = format!("size={}", settings.shm_size.bytes());
    let defaults = [
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[access, "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm_size]),
    ];
    let replaced = |m: &Mount| {
        let is_its = |path: &str| m.destination().as_os_str() == path;
        settings.tmpfs.iter().any(|t| is_its(&t.destination))
            || settings.mounts.iter().any(|t| is_its(&t.destination))
    };
    let tmpfs = settings.tmpfs.iter().map(|t| {
        let options: Vec<&str> = t.options.iter().map(String::as_str).collect();
        mount(&t.destination, "tmpfs", "tmpfs", &options)
    });
    defaults.iter().filter(|m| !replaced(m)).cloned().chain(tmpfs).collect()
}

/// Adds mounts to those of a spec. What lies deeper is mounted later, so that nothing covers it.
pub(super) fn add(spec: &mut Spec, more: Vec<Mount>) {
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    mounts.extend(more);
    mounts.sort_by_key(|mount| mount.destination().components().count());
    spec.set_mounts(Some(mounts));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tmpfs_replaces_the_default_on_its_path() {
        let settings = Settings { tmpfs: vec!["/dev/shm:size=1g".parse().unwrap()], ..Settings::default() };
        let mounts = mounts(&settings);
        let shm: Vec<_> = mounts.iter().filter(|m| m.destination().as_os_str() == "/dev/shm").collect();
        assert_eq!(shm.len(), 1);
        let mut spec = Spec::default();
        spec.set_mounts(Some(vec![mount("/a/b", "tmpfs", "tmpfs", &[])]));
        add(&mut spec, vec![mount("/a", "bind", "/x", &[]), mount("/a/b/c", "bind", "/y", &[])]);
        let order: Vec<_> =
            spec.mounts().iter().flatten().map(|m| m.destination().display().to_string()).collect();
        assert_eq!(order, ["/a", "/a/b", "/a/b/c"]);
        assert!(shm[0].options().as_ref().unwrap().contains(&"size=1g".to_owned()));
    }
}
