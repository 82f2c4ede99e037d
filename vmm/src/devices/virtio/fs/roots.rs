//! Which directories are shared: those of the configuration, and what the host adds and takes away while the VM runs.
//!
//! The main thread changes them; the thread that serves looks before each round, and is woken for that. A number is never another
//! share's: what a guest remembers of one that is gone leads nowhere.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use holm_protocol::vm_config::MAX_SHARES;

use super::names::errno;
use super::share::Root;
use super::shares::MAX_SHARE_NUMBER;
use crate::devices::changeable::Changeable;
use crate::devices::virtio::kicks::Kick;

/// Directories by number.
pub(super) type Table = BTreeMap<usize, Arc<Root>>;

/// The table, and the first number that nobody had.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    pub(super) table: Table,
    next: usize,
}

impl Shared {
    /// Those of the configuration.
    pub(super) fn from_first(roots: Vec<Root>) -> Self {
        let next = roots.len();
        Self { table: roots.into_iter().map(Arc::new).enumerate().collect(), next }
    }
}

/// The main thread's side of it.
pub struct Roots {
    pub(super) shared: Arc<Changeable<Shared>>,
    /// Wakes the thread that serves.
    pub(super) kick: Kick,
}

impl Roots {
    /// Shares a directory.
    ///
    /// # Errors
    /// The number was used before, or there are too many.
    pub(crate) fn add(
        &self,
        number: u32,
        directory: OwnedFd,
        only: Option<&str>,
        read_only: bool,
    ) -> io::Result<()> {
        let number = usize::try_from(number).map_err(|_| errno(libc::EINVAL))?;
        let root = Arc::new(Root::received(directory, only, read_only)?);
        self.shared.change(|shared| {
            if number < shared.next || number > MAX_SHARE_NUMBER {
                return Err(errno(libc::EEXIST));
            }
            if shared.table.len() >= MAX_SHARES {
                return Err(errno(libc::ENOSPC));
            }
            shared.table.insert(number, root);
            shared.next = number + 1;
            Ok(())
        })
    }

    /// Takes a share away; its files are closed as soon as the thread that serves has done what it is at.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn remove(&self, number: u32) -> io::Result<()> {
        let number = usize::try_from(number).map_err(|_| errno(libc::EINVAL))?;
        let removed = self.shared.change(|shared| shared.table.remove(&number));
        removed.ok_or_else(|| errno(libc::ENOENT))?;
        self.kick.write(1)
    }
}
