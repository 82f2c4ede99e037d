//! From what a user and an image ask for to the mounts that a container's record keeps: sources are looked up, missing
//! directories and volumes are made.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::VolumeError;
use super::name::VolumeName;
use super::record::VolumeRecord;
use super::store::{VolumeLock, VolumeStore};
use crate::container::ContainerStore;
use crate::container::settings::{
    Labels, Mount, MountKind, MountRequest, MountSource, TmpfsMount, VolumesFrom,
};
use crate::file_error::failed;

/// What is asked for.
#[derive(Debug, Default)]
pub struct MountRequests {
    /// `-v` and `--mount`.
    pub mounts: Vec<MountRequest>,
    /// `--volumes-from`.
    pub from: Vec<VolumesFrom>,
    /// `--tmpfs`.
    pub tmpfs: Vec<TmpfsMount>,
    /// The image's `VOLUME`s.
    pub of_image: Vec<String>,
}

impl MountRequests {
    /// Whether nothing of the host is asked for.
    #[must_use]
    pub fn concern_no_volume(&self) -> bool {
        self.mounts.is_empty() && self.from.is_empty() && self.of_image.is_empty()
    }
}

/// The mounts of a container that is being made, and its tmpfs mounts. The user's own come before those of other containers,
/// and those before the image's. `random` gives 64 hex digits.
///
/// # Errors
/// A source is not there, or two mounts are on one path. Volumes that were made stay.
pub fn plan<E: From<VolumeError>>(
    requests: MountRequests,
    volumes: &VolumeStore,
    lock: &VolumeLock,
    containers: &ContainerStore,
    mut random: impl FnMut() -> Result<VolumeName, E>,
) -> Result<(Vec<Mount>, Vec<TmpfsMount>), E> {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut tmpfs = requests.tmpfs;
    for request in requests.mounts {
        let MountRequest { source, destination, read_only } = request;
        if mounts.iter().any(|mount| mount.destination == destination)
            || tmpfs.iter().any(|mount| mount.destination == destination)
        {
            return Err(VolumeError::Duplicate(destination).into());
        }
        let kind = match source {
            MountSource::Tmpfs(mount) => {
                tmpfs.push(mount);
                continue;
            }
            MountSource::Bind { path, make } => MountKind::Bind { source: bind_source(&path, make)? },
            MountSource::Volume { name, no_copy, labels } => {
                let anonymous = name.is_none();
                let name = name.map_or_else(&mut random, Ok)?;
                volumes.create(lock, &name, &VolumeRecord::now(labels, anonymous))?;
                MountKind::Volume { name, no_copy }
            }
        };
        mounts.push(Mount { kind, destination, read_only });
    }
    for from in requests.from {
        let other = containers.find(&from.container).map_err(VolumeError::from)?;
        for mount in other.record.settings.mounts {
            if !is_taken(&mounts, &tmpfs, &mount.destination) {
                mounts.push(Mount { read_only: from.read_only.unwrap_or(mount.read_only), ..mount });
            }
        }
    }
    for destination in requests.of_image {
        let destination = format!("/{}", destination.trim_matches('/'));
        if destination != "/" && !is_taken(&mounts, &tmpfs, &destination) {
            let name = random()?;
            volumes.create(lock, &name, &VolumeRecord::now(Labels::default(), true))?;
            let kind = MountKind::Volume { name, no_copy: false };
            mounts.push(Mount { kind, destination, read_only: false });
        }
    }
    Ok((mounts, tmpfs))
}

fn is_taken(mounts: &[Mount], tmpfs: &[TmpfsMount], destination: &str) -> bool {
    mounts.iter().any(|mount| mount.destination == destination)
        || tmpfs.iter().any(|mount| mount.destination.trim_end_matches('/') == destination)
}

/// The absolute path of something that is there; a directory is made first where that was asked for.
fn bind_source(path: &Path, make: bool) -> Result<PathBuf, VolumeError> {
    let read = failed("read", path);
    let path = &std::path::absolute(path).map_err(read)?;
    match fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed("write", path))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(VolumeError::NoSource(path.clone()));
        }
        Err(source) => return Err(failed("read", path)(source).into()),
    }
    Ok(path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Directories;

    #[test]
    fn the_users_mounts_come_first_and_missing_sources_are_made_for_the_short_form() {
        let dir = tempfile::tempdir().unwrap();
        let directories = Directories::at(dir.path().join("root"), dir.path().join("run"));
        directories.create().unwrap();
        let (volumes, containers) = (VolumeStore::new(directories.clone()), ContainerStore::new(directories));
        let lock = volumes.lock().unwrap();
        let missing = dir.path().join("a/b");
        let bind = |make| MountRequest {
            source: MountSource::Bind { path: missing.clone(), make },
            destination: "/data".to_owned(),
            read_only: false,
        };
        let plan = |mounts: Vec<MountRequest>| {
            let of_image = vec!["/data".to_owned(), "var/lib/".to_owned(), "/run".to_owned()];
            let tmpfs = vec!["/run".parse().unwrap()];
            let requests = MountRequests { mounts, from: vec![], tmpfs, of_image };
            plan(requests, &volumes, &lock, &containers, || Ok::<_, VolumeError>("anon".parse().unwrap()))
        };
        assert!(matches!(plan(vec![bind(false)]), Err(VolumeError::NoSource(_))));
        assert!(matches!(plan(vec![bind(true), bind(true)]), Err(VolumeError::Duplicate(_))));
        let (mounts, _) = plan(vec![bind(true)]).unwrap();
        assert!(missing.is_dir());
        let destinations: Vec<_> = mounts.iter().map(|mount| mount.destination.as_str()).collect();
        assert_eq!(destinations, ["/data", "/var/lib"]);
        assert!(volumes.find("anon").unwrap().record.anonymous);
    }
}
