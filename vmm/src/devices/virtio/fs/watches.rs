//! Which inodes the guest watches (inotify(7) and fanotify(7) there), and what others do to them on the host.
//!
//! The guest's kernel says what is watched of an inode (WATCH), and leaves a request (CHANGES) that is answered when there is something
//! to tell. The host's inotify is told of all that happens, and so of what the guest did itself, which its own kernel has told its
//! watchers already. Requests are served one after another: each says what it is about to cause ([`Caused`]); what was there
//! before it is others' doing, and of what is there after it, that is left out ([`Watches::settle`]).
//!
//! Limits: watches and what waits to be told. There is no inotify before the first watch: a user has few on a host.
//! Thread: the one that serves. Trust: the guest may watch any inode that it was told of.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::changes::{Change, Changes};
use super::files::link_to;
use super::inodes::Inode;
use super::ledger::Node;
use super::names::errno;
use super::shares::share_of;
use super::status::{self, Identity};

/// Most that a guest watches. Watches are the host user's, of whom VMMs of root are one.
pub(super) const MAX_WATCHES: usize = 8192;
/// Most that are read at once: more than the host keeps (fs.inotify.max_queued_events).
const MAX_READ: usize = 1 << 16;
const READ_BYTES: usize = 4096;
/// Not what happens to open files that have no name any more.
const ALWAYS: WatchFlags = WatchFlags::EXCL_UNLINK;

/// What can be watched: changes, and not who looks.
const KINDS: WatchFlags = OF_NAMES.union(OF_CONTENT).union(OF_INODES);
const OF_NAMES: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::DELETE).union(WatchFlags::MOVED_FROM).union(WatchFlags::MOVED_TO);
pub(super) const OF_CONTENT: WatchFlags =
    WatchFlags::MODIFY.union(WatchFlags::ATTRIB).union(WatchFlags::CLOSE_WRITE);
pub(super) const OF_INODES: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);

/// What is watched of an inode.
struct Watch {
    /// The host's number for it, which is one for all that is the same inode there.
    number: i32,
    inode: Arc<Inode>,
    identity: Identity,
    /// It stands for this name in `inode`.
    only: Option<CString>,
    kinds: WatchFlags,
}

impl Watch {
    /// What the host is asked for. Nobody tells that an inode was removed as long as this process has it: the count of its
    /// names changes.
    fn asked(&self) -> WatchFlags {
        let of_removal = if self.kinds.contains(WatchFlags::DELETE_SELF) {
            WatchFlags::ATTRIB
        } else {
            WatchFlags::empty()
        };
        if self.only.is_some() { OF_NAMES | OF_CONTENT } else { self.kinds | of_removal }
    }

    /// As what the guest sees it: a single file whose name another one gets is a file that changes.
    fn seen(&self, kind: WatchFlags) -> impl Iterator<Item = WatchFlags> {
        const NOTHING: WatchFlags = WatchFlags::empty();
        let seen = match kind {
            _ if self.only.is_none() => [kind, NOTHING],
            WatchFlags::CREATE => [WatchFlags::MODIFY, NOTHING],
            WatchFlags::MOVED_TO => [WatchFlags::MODIFY, WatchFlags::CLOSE_WRITE],
            WatchFlags::DELETE | WatchFlags::MOVED_FROM => [WatchFlags::ATTRIB, NOTHING],
            kind => [kind, NOTHING],
        };
        let kinds = self.kinds;
        seen.into_iter().map(move |kind| kind & kinds).filter(|kind| !kind.is_empty())
    }

    /// Tells the guest what happened, as far as it wants to know; false if there is no room.
    fn tell(&mut self, node: Node, happened: &Happened<'_>, changes: &mut Changes) -> bool {
        if self.only.is_some() && self.only.as_deref() != happened.name {
            return true;
        }
        let name = happened.name.filter(|_| self.only.is_none());
        let mut is_told = true;
        for kind in self.seen(happened.kind) {
            let (kind, name) = (kind.bits() | happened.directory, name.map(CStr::to_owned));
            is_told &= changes.add(Change { node, kind, cookie: happened.cookie, name });
        }
        if happened.kind == WatchFlags::ATTRIB && name.is_none() {
            is_told &= self.tell_if_gone(node, changes);
        }
        is_told
    }

    /// Tells once that the inode has no name any more, if that is so; false if there is no room.
    fn tell_if_gone(&mut self, node: Node, changes: &mut Changes) -> bool {
        let is_wanted = self.kinds.contains(WatchFlags::DELETE_SELF) && self.only.is_none();
        if !is_wanted || !status::of(&self.inode.file).is_ok_and(|(status, _)| status.st_nlink == 0) {
            return true;
        }
        self.kinds -= WatchFlags::DELETE_SELF;
        changes.add(Change { node, kind: WatchFlags::DELETE_SELF.bits(), cookie: 0, name: None })
    }
}

/// Something that the host tells.
struct Happened<'a> {
    kind: WatchFlags,
    /// `IN_ISDIR`, if it happened to a directory.
    directory: u32,
    cookie: u32,
    name: Option<&'a CStr>,
}

impl<'a> From<&'a inotify::Event<'_>> for Happened<'a> {
    fn from(event: &'a inotify::Event<'_>) -> Self {
        Self {
            kind: WatchFlags::from_bits_retain(event.events().bits()) & KINDS,
            directory: (event.events() & ReadFlags::ISDIR).bits(),
            cookie: event.cookie(),
            name: event.file_name(),
        }
    }
}

impl Happened<'_> {
    /// Whether a directory may have gone by it.
    fn takes_directories(&self) -> bool {
        self.directory != 0 && self.kind.intersects(WatchFlags::DELETE | WatchFlags::MOVED_TO)
    }
}

/// What a request is about to cause.
pub(super) struct Caused {
    pub(super) whom: Whom,
    pub(super) kinds: WatchFlags,
}

/// To whom.
pub(super) enum Whom {
    /// To an inode of a share, and in the eyes of those who watch the directory that it is in.
    Inode(u64, Identity),
    /// To a name in a directory.
    Name(Node, CString),
}

impl Caused {
    fn is(&self, node: Node, watch: &Watch, happened: &Happened<'_>) -> bool {
        let is_own = || match (&self.whom, happened.name) {
            (Whom::Name(directory, own), name) => *directory == node && name == Some(own),
            (Whom::Inode(share, _), _) if *share != share_of(node) => false,
            (Whom::Inode(_, own), None) => watch.identity == *own,
            (Whom::Inode(_, own), Some(name)) => {
                status::of_name(&watch.inode.file, name).is_ok_and(|(_, found)| found == *own)
            }
        };
        self.kinds.intersects(happened.kind) && is_own()
    }
}

/// All watches of a guest, and what it has not been told yet.
pub(super) struct Watches {
    limit: usize,
    inotify: Option<OwnedFd>,
    by_node: HashMap<Node, Watch>,
    by_number: HashMap<i32, BTreeSet<Node>>,
    caused: Vec<Caused>,
    changes: Changes,
    is_over: bool,
    /// The log says once what the guest is not told.
    has_warned: bool,
}

impl Watches {
    /// For a guest that watches so many inodes at most.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            inotify: None,
            by_node: HashMap::new(),
            by_number: HashMap::new(),
            caused: Vec::new(),
            changes: Changes::default(),
            is_over: false,
            has_warned: false,
        }
    }

    /// What can be read when there is something to be read, once something was watched.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(OwnedFd::as_fd)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_node.is_empty()
    }

    /// Watches an inode, or `only` a name in it: for these kinds of changes and no others.
    ///
    /// # Errors
    /// ENOSPC: one too many; what the host refuses (EACCES: the inode cannot be read).
    pub(super) fn set(
        &mut self,
        node: Node,
        inode: &Arc<Inode>,
        only: Option<&CStr>,
        kinds: u32,
    ) -> io::Result<()> {
        let kinds = WatchFlags::from_bits_retain(kinds) & KINDS;
        if kinds.is_empty() {
            self.remove(node);
            return Ok(());
        }
        let added = self.add(node, inode, only, kinds);
        if let Err(error) = &added {
            self.warn(error);
        }
        added
    }

    fn add(
        &mut self,
        node: Node,
        inode: &Arc<Inode>,
        only: Option<&CStr>,
        kinds: WatchFlags,
    ) -> io::Result<()> {
        if self.by_node.len() >= self.limit && !self.by_node.contains_key(&node) {
            return Err(errno(libc::ENOSPC));
        }
        let (_, identity) = status::of(&inode.file)?;
        let mut watch =
            Watch { number: 0, inode: Arc::clone(inode), identity, only: only.map(CStr::to_owned), kinds };
        let inotify = match &mut self.inotify {
            Some(inotify) => inotify,
            none => none.insert(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?),
        };
        // Others may watch the same inode by another number.
        watch.number =
            inotify::add_watch(inotify, link_to(&inode.file), watch.asked() | WatchFlags::MASK_ADD | ALWAYS)?;
        let number = watch.number;
        self.by_node.insert(node, watch);
        self.by_number.entry(number).or_default().insert(node);
        self.ask(number);
        Ok(())
    }

    /// Asks the host for what is wanted of an inode by whatever numbers, and no more.
    fn ask(&self, number: i32) {
        let nodes = self.by_number.get(&number).into_iter().flatten();
        let (mut asked, mut inode) = (ALWAYS, None);
        for watch in nodes.filter_map(|node| self.by_node.get(node)) {
            asked |= watch.asked();
            inode = Some(&watch.inode);
        }
        if let (Some(inotify), Some(inode)) = (&self.inotify, inode) {
            // It is asked for more than that otherwise.
            let _ = inotify::add_watch(inotify, link_to(&inode.file), asked);
        }
    }

    /// Watches an inode no longer.
    pub(super) fn remove(&mut self, node: Node) {
        let Some(Watch { number, .. }) = self.by_node.remove(&node) else { return };
        let Some(nodes) = self.by_number.get_mut(&number) else { return };
        nodes.remove(&node);
        if !nodes.is_empty() {
            self.ask(number);
        } else if let Some(inotify) = &self.inotify {
            self.by_number.remove(&number);
            // Not there any more: the host gave it up with the inode.
            let _ = inotify::remove_watch(inotify, number);
        }
    }

    /// Watches nothing of a share any longer.
    pub(super) fn remove_share(&mut self, share: u64) {
        let nodes: Vec<Node> = self.by_node.keys().copied().filter(|node| share_of(*node) == share).collect();
        nodes.into_iter().for_each(|node| self.remove(node));
    }

    /// Watches nothing any longer, and whoever asks what changed is told that nothing will (`is_over`), until it is begun anew.
    pub(super) fn clear(&mut self, is_over: bool) {
        let nodes: Vec<Node> = self.by_node.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.remove(node));
        self.read();
        self.changes.clear();
        self.caused.clear();
        self.is_over = is_over;
    }

    /// Whether the guest unmounts: nothing more will happen.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether there is something to tell.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// What the guest is told now.
    pub(super) fn take(&mut self, room: usize) -> Vec<u8> {
        self.changes.take(room)
    }

    /// The request that is being served is about to do this.
    pub(super) fn cause(&mut self, caused: Caused) {
        if self.caused.is_empty() {
            self.read();
        }
        self.caused.push(caused);
    }

    /// A request was served.
    pub(super) fn settle(&mut self) {
        if !self.caused.is_empty() {
            self.read();
            self.caused.clear();
        }
    }

    /// Takes note of what happened, but for what was caused.
    pub(super) fn read(&mut self) {
        let Self { inotify: Some(inotify), by_node, by_number, caused, changes, .. } = self else { return };
        let mut room = [MaybeUninit::uninit(); READ_BYTES];
        let mut reader = inotify::Reader::new(inotify, &mut room);
        let (mut count, mut is_complete, mut went) = (0, true, false);
        while count < MAX_READ || !reader.is_buffer_empty() {
            count += 1;
            let Ok(event) = reader.next() else { break };
            if event.events().contains(ReadFlags::IGNORED) {
                // Of this process's own doing, or of the host's: the inode is gone.
                let nodes = by_number.remove(&event.wd()).unwrap_or_default();
                nodes.into_iter().for_each(|node| drop(by_node.remove(&node)));
                continue;
            }
            is_complete &= !event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            let happened = Happened::from(&event);
            for node in by_number.get(&event.wd()).into_iter().flatten() {
                let Some(watch) = by_node.get_mut(node) else { continue };
                if !caused.iter().any(|caused| caused.is(*node, watch, &happened)) {
                    is_complete &= watch.tell(*node, &happened, changes);
                    went |= happened.takes_directories();
                }
            }
        }
        // Of a directory's own end the host tells nothing as long as this process has it.
        let directories = by_node.iter_mut().filter(|(_, watch)| went && watch.inode.kind == libc::S_IFDIR);
        for (node, watch) in directories {
            is_complete &= watch.tell_if_gone(*node, changes);
        }
        if !is_complete {
            self.warn(&errno(libc::EOVERFLOW));
        }
    }

    fn warn(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(%error, "the guest is not told of all that changes in its shares");
        }
    }
}
