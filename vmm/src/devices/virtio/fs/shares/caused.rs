//! What changes on the host and not by the guest's own requests, for those of its inodes that it watches.

use std::ffi::CStr;
use std::io;

use fuse_backend_rs::api::filesystem::ROOT_ID;
use rustix::fs::inotify::WatchFlags;

use super::Shares;
use super::place::share_of;
use crate::devices::virtio::fs::ledger::Node;
use crate::devices::virtio::fs::names::errno;
use crate::devices::virtio::fs::share::{ONLY_FILE, Share};
use crate::devices::virtio::fs::watches::{Caused, OF_CONTENT, OF_INODES, Whom};

/// What requests cause: to a name, and to what has it.
pub(super) const MADE: (WatchFlags, WatchFlags) =
    (WatchFlags::CREATE.union(WatchFlags::ATTRIB), WatchFlags::empty());
pub(super) const OPENED: (WatchFlags, WatchFlags) = (WatchFlags::CREATE.union(OF_CONTENT), OF_CONTENT);
pub(super) const REMOVED: (WatchFlags, WatchFlags) =
    (WatchFlags::DELETE, WatchFlags::ATTRIB.union(WatchFlags::DELETE_SELF));
pub(super) const MOVED: (WatchFlags, WatchFlags) =
    (WatchFlags::MOVED_FROM.union(WatchFlags::MOVED_TO), OF_INODES.union(WatchFlags::ATTRIB));

impl Shares {
    /// Has the guest told of changes of an inode from now on: of these kinds, and no others. Inode 0: of none, and never again.
    pub(in crate::devices::virtio::fs) fn watch(&self, node: Node, kinds: u32) -> io::Result<()> {
        if node == 0 {
            self.watches().clear(true);
            return Ok(());
        }
        let (_, share, inode) = self.inside(node)?;
        let (inode, only) = match &share.only {
            Some(name) if inode == ONLY_FILE => (ROOT_ID, Some(name.as_c_str())),
            Some(_) => return Err(errno(libc::EACCES)),
            None => (inode, None),
        };
        self.watches().set(node, &share.files.inode(inode)?, only, kinds)
    }

    /// Takes note of what changed on the host.
    pub(in crate::devices::virtio::fs) fn listen(&self) {
        let mut watches = self.watches();
        if !watches.is_empty() {
            watches.read();
        }
    }

    /// What is said to whoever waits for what changed: 0 if something has, EAGAIN if not, ECANCELED if nothing will.
    pub(in crate::devices::virtio::fs) fn news(&self) -> i32 {
        let watches = self.watches();
        match watches.has_changes() {
            true => 0,
            false if watches.is_over() => libc::ECANCELED,
            false => libc::EAGAIN,
        }
    }

    /// What changed, as far as there is room to tell.
    pub(in crate::devices::virtio::fs) fn told_changes(&self, room: usize) -> Vec<u8> {
        self.watches().take(room)
    }

    /// The request that is being served will do such things: nobody else did them.
    pub(super) fn causes(&self, kinds: WatchFlags, whom: impl FnOnce() -> io::Result<Whom>) {
        let mut watches = self.watches();
        if !watches.is_empty()
            && !kinds.is_empty()
            && let Ok(whom) = whom()
        {
            watches.cause(Caused { whom, kinds });
        }
    }

    /// To an inode, by a file that is open or not.
    pub(super) fn causes_to(
        &self,
        node: Node,
        share: &Share,
        (inode, handle): (u64, Option<u64>),
        kinds: WatchFlags,
    ) {
        self.causes(kinds, || Ok(Whom::Inode(share_of(node), share.files.identity(inode, handle)?)));
    }

    /// To a name, and to what has it.
    pub(super) fn causes_by_name(
        &self,
        (directory, share, inode): (Node, &Share, u64),
        name: &CStr,
        (to_name, to_inode): (WatchFlags, WatchFlags),
    ) {
        self.causes(to_name, || Ok(Whom::Name(directory, name.to_owned())));
        let what = || share.files.identity_of_name(inode, name);
        self.causes(to_inode, || Ok(Whom::Inode(share_of(directory), what()?)));
    }

    /// A request was served.
    pub(in crate::devices::virtio::fs) fn settle(&self) {
        self.watches().settle();
    }
}
