//! The containers below `--root`.
//!
//! ```text
//! <root>/<id>/state.json   the record
//! <root>/<id>/lock         held by the supervisor for as long as it lives, and by `create` before
//! <root>/<id>/vm           locked by the VMM for as long as that lives, which is a moment longer
//! <root>/.new-*            containers that are being made
//! <root>/.old-*            containers that are being removed
//! <root of Holm>/oci/      writable layers of the guests', for a moment each ([`super::root`])
//! <run>/oci/<name>/        sockets; the name is made of the directory's path, which may be too long for sockets
//! ```
//!
//! A container appears and vanishes by a rename. `<root>` need not survive a reboot: no container does.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use holm_protocol::vm_config::MAX_DISK_ID_BYTES;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sha2::{Digest, Sha256};

use super::cgroup;
use super::error::OciError;
use super::id::OciId;
use super::record::{OciState, Record, Status};
use crate::durable::{self, Durability};
use crate::host::Directories;

/// Characters of a name of a directory for sockets.
const NAME_CHARACTERS: usize = 32;

/// How long the kernel may take to end a VMM whose supervisor is gone, with its guest's memory, and how long the cgroup may be busy
/// then: a VM's lock can be free before its threads in the kernel have ended. And between two looks.
const END_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// All containers of one root.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// One container.
#[derive(Clone, Debug)]
pub struct OciContainer {
    root: PathBuf,
    /// As the engine calls it.
    pub id: OciId,
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> OciError {
    let path = path.to_owned();
    move |source| OciError::Read { path, source }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> OciError {
    let path = path.to_owned();
    move |source| OciError::Write { path, source }
}

impl Store {
    /// Those below `root`, which is absolute.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Writes a container down, with its lock held: from now on it is there, and stopped as soon as the lock is dropped.
    ///
    /// # Errors
    /// The id is taken, or the root cannot be written.
    pub(super) fn add(&self, id: OciId, record: &Record) -> Result<(OciContainer, File), OciError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&self.root)
            .map_err(write_error(&self.root))?;
        self.sweep();
        let container = OciContainer { root: self.root.clone(), id };
        let failed = || write_error(&self.root);
        let draft = holm_faults::fault!("oci.add.directory")
            .and_then(|()| tempfile::Builder::new().prefix(".new-").tempdir_in(&self.root))
            .map_err(failed())?;
        let lock = File::create(draft.path().join("lock")).map_err(failed())?;
        lock.try_lock().map_err(|error| failed()(error.into()))?;
        let json = serde_json::to_vec_pretty(record).map_err(|error| failed()(error.into()))?;
        holm_faults::fault!("oci.add.record")
            .and_then(|()| durable::place(&draft.path().join("state.json"), &json, Durability::Lasting))
            .map_err(failed())?;
        holm_faults::fault!("oci.add.rename").map_err(failed())?;
        match renameat_with(CWD, draft.path(), CWD, container.directory(), RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(OciError::Exists),
            Err(error) => return Err(failed()(error.into())),
        }
        // It has another name now.
        holm_faults::crash!("oci.add.renamed");
        let _ = draft.keep();
        Ok((container, lock))
    }

    /// The container of this id.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, id: OciId) -> Result<OciContainer, OciError> {
        let container = OciContainer { root: self.root.clone(), id };
        if container.directory().is_dir() { Ok(container) } else { Err(OciError::NotFound) }
    }

    /// All containers, by id.
    ///
    /// # Errors
    /// The root cannot be read.
    pub fn list(&self) -> Result<Vec<OciContainer>, OciError> {
        let mut ids: Vec<String> = self.names()?.collect();
        ids.sort();
        let container = |id: String| Some(OciContainer { root: self.root.clone(), id: id.parse().ok()? });
        Ok(ids.into_iter().filter_map(container).collect())
    }

    fn names(&self) -> Result<impl Iterator<Item = String>, OciError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(read_error(&self.root)(error)),
        };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        Ok(entries.into_iter().flatten().flatten().filter_map(name))
    }

    /// Removes what commands that were killed left half made or half removed.
    fn sweep(&self) {
        for name in self.names().into_iter().flatten() {
            let path = self.root.join(&name);
            if name.starts_with(".old-") || (name.starts_with(".new-") && !is_locked(&path)) {
                // The next one tries again.
                let _ = durable::remove(&path);
            }
        }
    }
}

/// Whether somebody holds the lock in a container's directory. Asking is shared, so that those who ask do not see each other.
/// A directory without a lock in it is being made.
fn is_locked(directory: &Path) -> bool {
    let lock = File::open(directory.join("lock"));
    match lock.map(|lock| lock.try_lock_shared()) {
        Ok(Ok(())) => false,
        Ok(Err(TryLockError::WouldBlock)) | Err(_) => true,
        Ok(Err(TryLockError::Error(_))) => false,
    }
}

impl OciContainer {
    fn directory(&self) -> PathBuf {
        self.root.join(self.id.as_str())
    }

    /// What the VM and its guest call it.
    #[must_use]
    pub(super) fn name(&self) -> String {
        let mut name = hex::encode(Sha256::digest(self.directory().as_os_str().as_encoded_bytes()));
        name.truncate(NAME_CHARACTERS);
        name
    }

    /// What the guest calls its disk, if it has one: no other container of its VM has this one.
    pub(super) fn disk_id(&self) -> String {
        let mut id = self.name();
        id.truncate(MAX_DISK_ID_BYTES);
        id
    }

    /// Where a writable layer of the guest's is until the VM has it.
    pub(super) fn layer(&self) -> PathBuf {
        Directories::from_environment().oci_layers().join(format!("{}.ext4", self.name()))
    }

    /// Where its sockets are.
    #[must_use]
    pub(super) fn sockets(&self) -> PathBuf {
        Directories::from_environment().run_of("oci").join(self.name())
    }

    /// The supervisor's socket.
    #[must_use]
    pub(super) fn control(&self) -> PathBuf {
        self.sockets().join("control")
    }

    /// What is stored.
    ///
    /// # Errors
    /// It is gone, or damaged.
    pub fn record(&self) -> Result<Record, OciError> {
        let path = self.directory().join("state.json");
        let json = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => OciError::NotFound,
            _ => OciError::Read { path: path.clone(), source },
        })?;
        serde_json::from_slice(&json).map_err(|source| OciError::Document { path, source })
    }

    /// Replaces what is stored. Only for who holds the lock.
    pub(super) fn write(&self, record: &Record) -> Result<(), OciError> {
        let path = self.directory().join("state.json");
        let json = serde_json::to_vec_pretty(record).map_err(|error| write_error(&path)(error.into()))?;
        holm_faults::fault!("oci.record.write")
            .and_then(|()| durable::write(&path, &json))
            .map_err(write_error(&path))
    }

    /// Kills its supervisor, whose pid was this: the kernel then ends its VMM.
    pub(super) fn kill_supervisor(&self, pid: u32) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // Looked at in this order: of one that does not live the number could be another's.
        if let Some(pidfd) = pidfd.filter(|_| self.is_alive()) {
            // One that ended meanwhile is what was wanted.
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }

    /// Whether its supervisor, or the `create` before it, lives.
    #[must_use]
    pub(super) fn is_alive(&self) -> bool {
        let directory = self.directory();
        directory.is_dir() && is_locked(&directory)
    }

    /// The host's processes that are the container: its supervisor and its VMM.
    ///
    /// # Errors
    /// It does not run.
    pub fn host_processes(&self) -> Result<Vec<u32>, OciError> {
        let record = self.record()?;
        if !self.is_alive() {
            return Err(OciError::NotRunning);
        }
        let members = record.cgroup.as_deref().map(cgroup::processes).unwrap_or_default();
        Ok(if members.is_empty() { vec![record.pid] } else { members })
    }

    /// Where it is in its life.
    ///
    /// # Errors
    /// It is gone, or damaged.
    pub fn state(&self) -> Result<OciState, OciError> {
        // In this order: what ends in between has stopped.
        let record = self.record()?;
        let status = if self.is_alive() { record.status } else { Status::Stopped };
        Ok(record.state(status))
    }

    /// A lock for a VMM to inherit: it is free again when that is gone. It can be read and not written.
    pub(super) fn lock_vm(&self) -> Result<OwnedFd, OciError> {
        let path = self.vm_lock();
        let locked = File::create(&path).and_then(|_| File::open(&path)).and_then(|file| {
            file.try_lock()?;
            Ok(file.into())
        });
        locked.map_err(write_error(&path))
    }

    fn vm_lock(&self) -> PathBuf {
        self.directory().join("vm")
    }

    /// Waits until its VMM is gone, which the kernel ends after its supervisor.
    fn await_vmm(&self) -> Result<(), OciError> {
        // One that was never started has no lock.
        let Ok(lock) = File::open(self.vm_lock()) else { return Ok(()) };
        let begun = Instant::now();
        while let Err(TryLockError::WouldBlock) = lock.try_lock_shared() {
            if begun.elapsed() > END_TIMEOUT {
                return Err(OciError::VmStays);
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    /// Makes it vanish, with what it has of the host. Its supervisor is gone.
    pub(super) fn remove(&self) -> Result<(), OciError> {
        self.await_vmm()?;
        if let Some(place) = self.record().ok().and_then(|record| record.cgroup) {
            remove_cgroup(&place).map_err(write_error(&place))?;
        }
        let layer = self.layer();
        durable::remove(&layer).map_err(write_error(&layer))?;
        let sockets = self.sockets();
        holm_faults::fault!("oci.remove.sockets")
            .and_then(|()| durable::remove(&sockets))
            .map_err(write_error(&sockets))?;
        let old = self.root.join(format!(".old-{}-{}", self.id, std::process::id()));
        match holm_faults::fault!("oci.remove.rename").and_then(|()| fs::rename(self.directory(), &old)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OciError::NotFound),
            Err(error) => return Err(write_error(&self.root)(error)),
        }
        holm_faults::crash!("oci.remove.renamed");
        durable::remove(&old).map_err(write_error(&old))
    }
}

/// Who was in it a moment ago may still be leaving.
fn remove_cgroup(place: &Path) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match cgroup::remove(place) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && begun.elapsed() < END_TIMEOUT => {
                sleep(PAUSE);
            }
            // Somebody else's processes are in it: it is not ours alone.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Ok(()),
            removed => return removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn record(id: &str) -> Record {
        Record {
            oci_version: "1.0.2".to_owned(),
            id: id.to_owned(),
            pid: 7,
            status: Status::Running,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            root_device: None,
            created: OffsetDateTime::UNIX_EPOCH,
            annotations: [("k".to_owned(), "v".to_owned())].into(),
            oom_killed: false,
            role: crate::oci::role::Role::Alone,
            cgroup: None,
            poststop: Vec::new(),
        }
    }

    #[test]
    fn a_container_is_stopped_when_nobody_holds_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("root"));
        assert!(store.list().unwrap().is_empty());
        let id: OciId = "box".parse().unwrap();
        assert!(matches!(store.find(id.clone()), Err(OciError::NotFound)));
        let (container, lock) = store.add(id.clone(), &record("box")).unwrap();
        assert!(matches!(store.add(id.clone(), &record("box")), Err(OciError::Exists)));
        assert_eq!(container.state().unwrap().status, Status::Running);
        assert_eq!(container.state().unwrap().pid, 7);
        drop(lock);
        let state = container.state().unwrap();
        assert_eq!((state.status, state.pid), (Status::Stopped, 0));
        container.remove().unwrap();
        assert!(matches!(container.remove(), Err(OciError::NotFound)));
        assert_eq!(fs::read_dir(dir.path().join("root")).unwrap().count(), 0);
    }

    #[test]
    fn what_killed_commands_left_goes_with_the_next_container() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().to_owned());
        for name in [".new-killed", ".old-box-1", ".new-other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("lock"), "").unwrap();
        }
        let held = File::open(dir.path().join(".new-other/lock")).unwrap();
        held.lock().unwrap();
        let (_, _lock) = store.add("a".parse().unwrap(), &record("a")).unwrap();
        assert_eq!(store.list().unwrap().len(), 1);
        assert!(!dir.path().join(".new-killed").exists() && !dir.path().join(".old-box-1").exists());
        assert!(dir.path().join(".new-other").exists());
    }

    #[test]
    fn the_state_has_runcs_fields() {
        let state = serde_json::to_value(record("box").state(Status::Running)).unwrap();
        let expected = serde_json::json!({
            "ociVersion": "1.0.2", "id": "box", "pid": 7, "status": "running", "bundle": "/b",
            "rootfs": "/b/rootfs", "created": "1970-01-01T00:00:00Z", "annotations": {"k": "v"}, "owner": "root"
        });
        assert_eq!(state, expected);
    }
}
