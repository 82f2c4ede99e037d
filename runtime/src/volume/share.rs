//! What of the host a container's VM is given at a start, and where the guest mounts it.

use std::fs::{self, File, TryLockError};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use holm_protocol::agent::{
    COPY_UP_OPTION, FIRST_SOCKET_PORT, SHARES_DIRECTORY, SOCKET_OPTION, SOCKETS_DIRECTORY, VOLUME_DATA,
    VOLUMES_DIRECTORY,
};
use holm_protocol::vm_config::{DiskConfig, DiskRates, ShareConfig};
use oci_spec::runtime::Mount as OciMount;

use super::driver::VolumeDriver;
use super::error::VolumeError;
use super::name::VolumeName;
use super::rates::disk_id;
use super::store::{Volume, VolumeStore};
use crate::container::settings::{DeviceRates, LayerSize, Mount, MountKind};
use crate::durable;
use crate::file_error::failed;
use crate::sandbox::file_disk;

/// The shares of a VM, and the mounts of its container that need them.
#[derive(Debug, Default)]
pub struct Shares {
    /// For the VMM, in its order.
    pub configs: Vec<ShareConfig>,
    /// The number of the first of them in the guest.
    first: u32,
    /// Disks of block volumes.
    pub disks: Vec<DiskConfig>,
    /// What keeps other VMs from those disks, for as long as it is open.
    pub locks: Vec<OwnedFd>,
    /// Unix sockets, by the vsock port on which the guest reaches each.
    pub sockets: Vec<(u32, PathBuf)>,
    /// For the spec.
    pub mounts: Vec<OciMount>,
    /// Volumes that the guest fills.
    pub fill: Fill,
    /// Where the guest finds the block volumes that are among the disks.
    found: Vec<(VolumeName, PathBuf)>,
}

/// Notes on disk that volumes are being filled, each with the volume's data; they go when that is done.
#[derive(Debug, Default)]
pub struct Fill(Vec<(PathBuf, PathBuf)>);

impl Fill {
    /// The volumes are filled: they are brought to the disk before that is noted. A note that stays makes the next start fill them
    /// again, which changes nothing.
    pub fn done(&self) {
        for (note, data) in &self.0 {
            let synced =
                holm_faults::fault!("volume.fill.sync").and_then(|()| durable::sync_file_system(data));
            if let Err(error) = synced.and_then(|()| durable::remove(note)) {
                tracing::warn!(%error, "cannot note that a volume is filled");
            }
        }
    }
}

/// Looks up the sources of `mounts`: directories and files of the host as they are now. Volumes that are empty and were not
/// used before are noted as being filled, if `may_fill`.
///
/// # Errors
/// A source is not there, or nothing that can be shared.
pub fn shares(
    mounts: &[Mount],
    rates: &DeviceRates,
    volumes: &VolumeStore,
    may_fill: bool,
) -> Result<Shares, VolumeError> {
    let mut shares = Shares::default();
    for mount in mounts {
        let access = if mount.read_only { "ro" } else { "rw" };
        let mut options = ["rbind", "rprivate", access].map(str::to_owned).to_vec();
        let guest = match &mount.kind {
            MountKind::Bind { source } => shares.add_bind(source, mount.read_only, &mut options)?,
            MountKind::Volume { name, no_copy } => {
                let volume = volumes.find(name.as_str())?;
                if may_fill && !no_copy && !mount.read_only && volume.wants_filling() {
                    let path = volume.filling();
                    holm_faults::fault!("volume.fill.note")
                        .and_then(|()| durable::write(&path, b""))
                        .map_err(failed("write", &path))?;
                    shares.fill.0.push((path, volume.data()));
                    options.push(COPY_UP_OPTION.to_owned());
                }
                match volume.record.driver {
                    VolumeDriver::Local => shares.add(share_of(&volume.data(), mount.read_only)?),
                    VolumeDriver::Block(size) => {
                        let is_written = |other: &Mount| other.volume() == Some(name) && !other.read_only;
                        let read_only = !mounts.iter().any(is_written);
                        shares.add_disk(&volume, size, read_only, rates.of(&mount.destination))?
                    }
                }
            }
        };
        let mut spec = OciMount::default();
        spec.set_destination(PathBuf::from(&mount.destination))
            .set_typ(Some("bind".to_owned()))
            .set_source(Some(guest))
            .set_options(Some(options));
        shares.mounts.push(spec);
    }
    Ok(shares)
}

impl Shares {
    /// None yet; the guest has others before them.
    #[must_use]
    pub fn numbered_from(first: u32) -> Self {
        Self { first, ..Self::default() }
    }

    /// Shares what a bind mount of the host is to show; where the guest finds it. A socket needs one more of the mount's
    /// options.
    ///
    /// # Errors
    /// The source is not there, or nothing that can be shared.
    pub fn add_bind(
        &mut self,
        source: &Path,
        read_only: bool,
        options: &mut Vec<String>,
    ) -> Result<PathBuf, VolumeError> {
        let source = fs::canonicalize(source).map_err(|_| VolumeError::NoSource(source.to_owned()))?;
        match self.add_socket(&source) {
            Some((guest, option)) => {
                options.push(option);
                Ok(guest)
            }
            None => Ok(self.add(share_of(&source, read_only)?)),
        }
    }

    /// Shares a directory or file; where the guest finds it.
    fn add(&mut self, config: ShareConfig) -> PathBuf {
        let number = usize::try_from(self.first).map_or(usize::MAX, |first| first + self.configs.len());
        let mut guest = Path::new(SHARES_DIRECTORY).join(number.to_string());
        if let Some(name) = &config.only {
            guest.push(name);
        }
        self.configs.push(config);
        guest
    }

    /// Gives the VM a volume's disk, once; where the guest finds what is on it.
    fn add_disk(
        &mut self,
        volume: &Volume,
        size: LayerSize,
        read_only: bool,
        rates: DiskRates,
    ) -> Result<PathBuf, VolumeError> {
        if let Some((_, guest)) = self.found.iter().find(|(name, _)| *name == volume.name) {
            return Ok(guest.clone());
        }
        self.locks.push(lock_disk(volume, read_only)?.into());
        let id = disk_id(self.disks.len());
        let guest = Path::new(VOLUMES_DIRECTORY).join(&id).join(VOLUME_DATA);
        self.disks.push(file_disk(&id, &volume.data(), size.bytes(), read_only, rates));
        self.found.push((volume.name.clone(), guest.clone()));
        Ok(guest)
    }

    /// Makes a socket reachable, if it is one; where the guest finds it, and the option that says what it is.
    fn add_socket(&mut self, source: &Path) -> Option<(PathBuf, String)> {
        let metadata = fs::metadata(source).ok().filter(|metadata| metadata.file_type().is_socket())?;
        let port = FIRST_SOCKET_PORT.checked_add(u32::try_from(self.sockets.len()).ok()?)?;
        self.sockets.push((port, source.to_owned()));
        let (mode, uid, gid) = (metadata.mode() & 0o777, metadata.uid(), metadata.gid());
        let guest = Path::new(SOCKETS_DIRECTORY).join(port.to_string());
        Some((guest, format!("{SOCKET_OPTION}{port}:{mode:o}:{uid}:{gid}")))
    }
}

/// Takes a disk for one VM, or for reading for one of several. A VMM whose supervisor was killed a moment ago still has it.
fn lock_disk(volume: &Volume, read_only: bool) -> Result<File, VolumeError> {
    const LIMIT: Duration = Duration::from_secs(2);
    const PAUSE: Duration = Duration::from_millis(5);
    let path = volume.data();
    let failed = failed("read", &path);
    let disk = File::open(&path).map_err(failed)?;
    let begun = Instant::now();
    loop {
        match if read_only { disk.try_lock_shared() } else { disk.try_lock() } {
            Ok(()) => return Ok(disk),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LIMIT => sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(VolumeError::Busy(volume.name.clone())),
            Err(TryLockError::Error(source)) => return Err(failed(source).into()),
        }
    }
}

/// A directory whole, a file by its name in its directory.
fn share_of(source: &Path, read_only: bool) -> Result<ShareConfig, VolumeError> {
    let metadata = fs::metadata(source).map_err(|_| VolumeError::NoSource(source.to_owned()))?;
    if source.to_str().is_none() {
        return Err(VolumeError::NotText(source.to_owned()));
    }
    if metadata.is_dir() {
        return Ok(ShareConfig { directory: source.to_owned(), only: None, read_only });
    }
    match (source.parent(), source.file_name().and_then(|name| name.to_str())) {
        (Some(parent), Some(name)) if metadata.is_file() => {
            Ok(ShareConfig { directory: parent.to_owned(), only: Some(name.to_owned()), read_only })
        }
        _ => Err(VolumeError::Unshareable(source.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::record::VolumeRecord;
    use super::*;
    use crate::container::settings::DeviceRate;
    use crate::host::Directories;

    #[test]
    fn a_file_is_shared_by_name_and_a_link_as_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::write(root.join("file"), "").unwrap();
        symlink("file", root.join("link")).unwrap();
        let bind = |name: &str| Mount {
            kind: MountKind::Bind { source: root.join(name) },
            destination: "/x".to_owned(),
            read_only: true,
        };
        let none = DeviceRates::default();
        let volumes = VolumeStore::new(Directories::at(root.clone(), root.clone()));
        let found = shares(&[bind("link"), bind("")], &none, &volumes, true).unwrap();
        let config = |only: Option<&str>| ShareConfig {
            directory: root.clone(),
            only: only.map(str::to_owned),
            read_only: true,
        };
        assert_eq!(found.configs, [config(Some("file")), config(None)]);
        assert_eq!(found.mounts[0].source().as_deref(), Some(Path::new("/run/shares/0/file")));
        assert_eq!(found.mounts[1].source().as_deref(), Some(Path::new("/run/shares/1")));
        assert!(matches!(shares(&[bind("gone")], &none, &volumes, true), Err(VolumeError::NoSource(_))));
        let _listener = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let socket = shares(&[bind("socket"), bind("file")], &none, &volumes, true).unwrap();
        assert_eq!(socket.sockets, [(2048, root.join("socket"))]);
        assert_eq!(socket.mounts[0].source().as_deref(), Some(Path::new("/run/sockets/2048")));
        assert_eq!(socket.mounts[1].source().as_deref(), Some(Path::new("/run/shares/0/file")));
        let device = Mount { kind: MountKind::Bind { source: "/dev/null".into() }, ..bind("") };
        assert!(matches!(shares(&[device], &none, &volumes, true), Err(VolumeError::Unshareable(_))));
    }

    #[test]
    fn a_block_volume_is_a_disk_that_one_vm_writes_or_several_read() {
        let dir = tempfile::tempdir().unwrap();
        let directories = Directories::at(dir.path().join("root"), dir.path().join("run"));
        directories.create().unwrap();
        let volumes = VolumeStore::new(directories);
        let name: VolumeName = "db".parse().unwrap();
        let driver = VolumeDriver::Block("size=64m".parse().unwrap());
        let record = VolumeRecord { driver, ..VolumeRecord::now([].into(), false) };
        let lock = volumes.lock().unwrap();
        volumes.create(&lock, &name, &record).unwrap();
        let local = VolumeRecord::now([].into(), false);
        assert!(!volumes.create(&lock, &name, &local).unwrap(), "a mount takes what is there");
        let other = VolumeDriver::Block("size=65m".parse().unwrap());
        let conflict = volumes.create(&lock, &name, &VolumeRecord { driver: other, ..local });
        assert!(matches!(conflict, Err(VolumeError::Conflict(_))));

        let mount = |destination: &str, read_only| Mount {
            kind: MountKind::Volume { name: name.clone(), no_copy: false },
            destination: destination.to_owned(),
            read_only,
        };
        let rate = DeviceRate::parse_bytes("/a:1k").unwrap();
        let rates = DeviceRates { read_bps: vec![rate], ..DeviceRates::default() };
        let found = |mounts: &[Mount]| shares(mounts, &rates, &volumes, true);
        let both = found(&[mount("/a", true), mount("/b", false)]).unwrap();
        assert_eq!((both.disks.len(), both.disks[0].read_only), (1, false));
        assert_eq!(both.disks[0].rates.read_bytes_per_s.map(std::num::NonZeroU64::get), Some(1024));
        assert_eq!(both.mounts[0].source(), both.mounts[1].source());
        assert_eq!(both.mounts[0].source().as_deref(), Some(Path::new("/run/volumes/volume-0/data")));
        assert!(both.mounts[1].options().clone().unwrap().contains(&COPY_UP_OPTION.to_owned()));
        assert!(matches!(found(&[mount("/a", true)]), Err(VolumeError::Busy(_))));
        drop(both);
        let reader = found(&[mount("/a", true)]).unwrap();
        assert!(reader.disks[0].read_only);
        found(&[mount("/a", true)]).unwrap();
        assert!(matches!(found(&[mount("/a", false)]), Err(VolumeError::Busy(_))));
    }
}
