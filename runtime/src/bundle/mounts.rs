//! The mounts of every container: Docker's defaults, then the user's tmpfs mounts.

use std::path::PathBuf;

use oci_spec::runtime::Mount;

use crate::container::settings::Settings;

/// Docker's size of `/dev/shm`: 64 MiB.
const SHM_BYTES: u64 = 64 << 20;

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
    let shm_size = format!("size={SHM_BYTES}");
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
    let replaced =
        |m: &Mount| settings.tmpfs.iter().any(|t| m.destination().as_os_str() == t.destination.as_str());
    let tmpfs = settings.tmpfs.iter().map(|t| {
        let options: Vec<&str> = t.options.iter().map(String::as_str).collect();
        mount(&t.destination, "tmpfs", "tmpfs", &options)
    });
    defaults.iter().filter(|m| !replaced(m)).cloned().chain(tmpfs).collect()
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
        assert!(shm[0].options().as_ref().unwrap().contains(&"size=1g".to_owned()));
    }
}
