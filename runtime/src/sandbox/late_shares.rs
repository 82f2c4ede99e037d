//! Shares of a VM that runs.
//!
//! ```text
//!   add:     a mount of the directory ──> into the VMM's mount namespace, below /shares ──> the VMM serves it
//!   remove:  the VMM closes what is open of it ──> out of the namespace
//! ```
//!
//! The VMM's jail lets it open what is below /shares, and it cannot mount anything there: this process does, in the VMM's
//! namespace. Nothing is mounted in the host's own, so nothing is left when the VMM is gone.
//!
//! Threads: each change has one of its own, since a thread has one mount namespace and does not come back.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use holm_protocol::vm_config::ShareConfig;
use holm_protocol::vm_control::LATE_SHARES;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdir, openat, unlinkat};
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount, open_tree,
    unmount,
};

use super::vmm_control::{ControlError, VmmControl};
use super::vmm_process::VmmProcess;

/// Why a VM's shares could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum LateShareError {
    /// It has none from its start.
    #[error("the VM was made for containers that have no files of the host, and can get none")]
    None,
    /// The directory, or the VMM's mount namespace.
    #[error("cannot give the VM {}", directory.display())]
    Mount {
        /// The directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The VMM.
    #[error(transparent)]
    Vmm(#[from] ControlError),
}

/// What a VM was given beside the shares of its start. Numbers are not used again.
#[derive(Debug)]
pub struct LateShares {
    control: Arc<VmmControl>,
    vmm: u32,
    from_start: usize,
    next: u32,
}

impl LateShares {
    /// Of a VM that has so many shares from its start.
    #[must_use]
    pub fn of(vmm: &VmmProcess, from_start: usize) -> Self {
        let next = u32::try_from(from_start).unwrap_or(u32::MAX);
        Self { control: Arc::clone(&vmm.control), vmm: vmm.pid(), from_start, next }
    }

    /// The number of the next share.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Gives the VM one more.
    ///
    /// # Errors
    /// The VM does not have it then.
    pub fn add(&mut self, share: &ShareConfig) -> Result<u32, LateShareError> {
        if self.from_start == 0 {
            return Err(LateShareError::None);
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        let (vmm, directory) = (self.vmm, share.directory.clone());
        let mounted = apart(move || attach(vmm, number, &directory));
        let mounted =
            mounted.map_err(|source| LateShareError::Mount { directory: share.directory.clone(), source })?;
        let only = share.only.as_deref();
        let added = self.control.add_share(number, mounted.as_fd(), only, share.read_only);
        if added.is_err() {
            self.detach(number);
        }
        Ok(added.map(|()| number)?)
    }

    /// Takes one away, whatever the guest does with it.
    pub fn remove(&self, number: u32) {
        match self.control.remove_share(number) {
            Ok(()) => self.detach(number),
            Err(error) => tracing::warn!(%error, number, "a share stays until its VM ends"),
        }
    }

    fn detach(&self, number: u32) {
        let vmm = self.vmm;
        if let Err(error) = apart(move || detach(vmm, number)) {
            tracing::warn!(%error, number, "a share's mount stays until its VM ends");
        }
    }
}

fn apart<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    thread::spawn(work).join().unwrap_or_else(|_| Err(io::Error::other("the thread that mounts died")))
}

/// Where a share is in the VMM's mount namespace.
fn place(number: u32) -> String {
    format!("{LATE_SHARES}/{number}")
}

/// The directory and what is mounted below it, there.
fn attach(vmm: u32, number: u32, directory: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(CWD, directory, flags, Mode::empty())?;
    let whole = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE;
    let flags = whole | OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(&directory, "", flags)?;
    enter(vmm)?;
    let place = place(number);
    mkdir(&place, Mode::from_raw_mode(0o700))?;
    move_mount(&tree, "", CWD, &place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    // What the host mounts below it later stays the host's.
    mount_change(&place, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(tree)
}

fn detach(vmm: u32, number: u32) -> io::Result<()> {
    enter(vmm)?;
    let place = place(number);
    unmount(&place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    Ok(unlinkat(CWD, &place, AtFlags::REMOVEDIR)?)
}

/// Goes into the VMM's mount namespace with this thread, for good.
fn enter(vmm: u32) -> io::Result<()> {
    const OWN: &str = "/proc/thread-self/ns/mnt";
    let theirs = format!("/proc/{vmm}/ns/mnt");
    if std::fs::read_link(&theirs)? == std::fs::read_link(OWN)? {
        return Err(io::Error::other("the host gave its VMM no mount namespace"));
    }
    let namespace = File::open(theirs)?;
    unshare(CloneFlags::CLONE_FS)?;
    Ok(setns(namespace, CloneFlags::CLONE_NEWNS)?)
}
