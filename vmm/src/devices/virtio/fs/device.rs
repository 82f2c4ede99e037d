//! The device and its event loop side: queue, request, tree, answer.

use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_manager::{EventOps, Events, MutEventSubscriber};
use fuse_backend_rs::abi::fuse_abi::{EntryOut, InterruptIn, LkIn, OpenOut};
use fuse_backend_rs::api::filesystem::{Context, FileSystem};
use fuse_backend_rs::api::server::Server;
use fuse_backend_rs::transport::{Reader, VirtioFsWriter, Writer};
use holm_protocol::vm_config::ShareConfig;
use virtio_bindings::virtio_ids::VIRTIO_ID_FS;
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::timerfd::TimerFd;

use super::changes::MAX_CHANGE_BYTES;
use super::config::{self, HIGH_PRIORITY, MAX_DESCRIPTORS, QUEUE_SIZES, REQUESTS};
use super::ledger::Limits;
use super::message::{self, Header, Kind, OUT_HEADER_BYTES};
use super::names::errno;
use super::owners::Owners;
use super::roots::{Roots, Shared, Table};
use super::share::Root;
use super::shares::Shares;
use super::state::FsState;
use super::thread;
use super::waiting::{Waiter, Waiting, Wanted};
use super::watches::{MAX_WATCHES, Watches};
use crate::devices::changeable::Changeable;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks::{self, Kick};
use crate::devices::virtio::ring::{Buffer, Chain, RING_FEATURES, RingError, buffers, total_bytes};
use crate::devices::virtio::saved_queue::SavedQueue;
use crate::devices::virtio::serve::{Answer, PacedRound, Round, serve_paced};
use crate::memory::{ByteValued, GuestRam};

/// Most that the guest is told at once of what changed on the host.
const MAX_TOLD_BYTES: usize = 64 << 10;

/// A file system device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// A share's directory cannot be opened.
    #[error("cannot share {}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process is out of file descriptors.
    #[error("cannot make an event")]
    Event(#[source] io::Error),
}

/// A file system device.
pub struct Fs {
    shared: Arc<Changeable<Shared>>,
    /// How often they had changed when they were last looked at.
    seen: u64,
    limits: Limits,
    owners: Owners,
    kicks: [Kick; 2],
    /// When to ask again for locks that requests wait for.
    timer: TimerFd,
    is_timer_set: bool,
    /// What the event loop listens to once the guest watches something: it stays beyond a reset.
    watches: Arc<Mutex<Watches>>,
    is_listened_to: bool,
    active: Option<Active>,
}

struct Active {
    memory: Arc<GuestRam>,
    queues: [Queue; 2],
    interrupt: Interrupt,
    /// Made at the first request, on the thread that serves.
    service: Option<Service>,
}

/// What answers requests.
struct Service {
    shares: Arc<Shares>,
    server: Server<Arc<Shares>>,
    waiting: Waiting,
}

impl Fs {
    /// Opens the directories of at least one share.
    ///
    /// # Errors
    /// A directory is none, or cannot be opened.
    pub fn new(shares: &[ShareConfig]) -> Result<Self, FsError> {
        let root = |share: &ShareConfig| {
            Root::open(share)
                .map_err(|source| FsError::Directory { directory: share.directory.clone(), source })
        };
        let roots = shares.iter().map(root).collect::<Result<_, _>>()?;
        let shared = Arc::new(Changeable::new(Shared::from_first(roots)));
        let limits = Limits::of(thread::raise_open_files());
        let timer = TimerFd::new().map_err(|error| FsError::Event(error.into()))?;
        let owners = Owners::of_process();
        let kick = || kicks::make().map_err(FsError::Event);
        let kicks = [kick()?, kick()?];
        let watches = Arc::new(Mutex::new(Watches::new(MAX_WATCHES)));
        let (is_timer_set, is_listened_to) = (false, false);
        Ok(Self {
            shared,
            seen: 0,
            limits,
            owners,
            kicks,
            timer,
            is_timer_set,
            watches,
            is_listened_to,
            active: None,
        })
    }

    /// To change what is shared, by another thread.
    #[must_use]
    pub fn roots(&self) -> Roots {
        let [_, requests] = &self.kicks;
        Roots { shared: Arc::clone(&self.shared), kick: Arc::clone(requests) }
    }

    #[cfg(test)]
    pub(super) fn limit(&mut self, inodes: usize, handles: usize, watches: usize) {
        self.limits = Limits { inodes, handles };
        self.watches = Arc::new(Mutex::new(Watches::new(watches)));
    }

    #[cfg(test)]
    pub(super) fn note_owners(&mut self) {
        self.owners = Owners::noted();
    }

    /// What a snapshot keeps.
    #[must_use]
    pub fn state(&self) -> FsState {
        let active = self.active.as_ref();
        FsState {
            queues: active.map(|active| active.queues.each_ref().map(SavedQueue::from)),
            in_use: active.is_some_and(|active| active.service.is_some()),
        }
    }

    /// Listens to what happens on the host, from the guest's first watch on.
    fn listen(&mut self, ops: &mut EventOps<'_>) {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(descriptor) = watches.descriptor().filter(|_| !self.is_listened_to) else { return };
        self.is_listened_to = true;
        if let Err(error) = ops.add(Events::new(&descriptor, EventSet::IN)) {
            tracing::error!(?error, "cannot listen to what changes in shares");
        }
    }

    /// Serves both queues once. Whether it is `time` to ask again for locks that requests wait for.
    pub(super) fn serve(&mut self, time: bool) {
        let changed = self.shared.since(&mut self.seen);
        let Some(active) = &mut self.active else {
            // Another thread reset the device; those that the guest had go here.
            return self.watches.lock().unwrap_or_else(PoisonError::into_inner).clear(true);
        };
        if let (Some(changed), Some(service)) = (changed, &active.service)
            && let Err(error) = service.shares.follow(&changed.table)
        {
            tracing::warn!(%error, "a share that was added cannot be served");
        }
        match active.serve(&self.shared, self.limits, self.owners, &self.watches, time) {
            Ok((round, pause)) => {
                if round == Round::More {
                    let _ = self.kicks[REQUESTS].write(1);
                }
                if let Some(pause) = pause.filter(|_| !self.is_timer_set) {
                    self.is_timer_set = self.timer.reset(pause, None).is_ok();
                }
            }
            Err(reason) => {
                tracing::debug!(reason, "the file system device gives up");
                active.interrupt.needs_reset();
                self.active = None;
            }
        }
    }
}

impl Active {
    /// Whether there is more to do at once, and after how long to come back for locks.
    fn serve(
        &mut self,
        shared: &Changeable<Shared>,
        limits: Limits,
        owners: Owners,
        watches: &Arc<Mutex<Watches>>,
        time: bool,
    ) -> Result<(Round, Option<Duration>), String> {
        let service = match &mut self.service {
            Some(service) => service,
            none => {
                let made = Service::new(&shared.get().table, limits, owners, Arc::clone(watches));
                none.insert(made.map_err(|error| error.to_string())?)
            }
        };
        let memory = self.memory.as_ref();
        let mut more = Round::Empty;
        for (index, queue) in self.queues.iter_mut().enumerate() {
            let answer = |chain: Chain<'_>| service.answer(memory, index, chain);
            let round = serve_paced(queue, memory, &self.interrupt, answer);
            if round.map_err(|error| error.to_string())? == PacedRound::Done(Round::More) {
                more = Round::More;
            }
        }
        service.shares.listen();
        for (waiter, written_bytes) in service.ask(memory, time, more == Round::Empty) {
            if let Some(queue) = self.queues.get_mut(waiter.queue) {
                queue.add_used(memory, waiter.head, written_bytes).map_err(|error| error.to_string())?;
                self.interrupt.used_buffer();
            }
        }
        Ok((more, service.waiting.pause(time)))
    }
}

impl Service {
    /// On the thread that serves.
    fn new(roots: &Table, limits: Limits, owners: Owners, watches: Arc<Mutex<Watches>>) -> io::Result<Self> {
        thread::prepare()?;
        let shares = Arc::new(Shares::new(roots, limits, owners, watches)?);
        Ok(Self { server: Server::new(Arc::clone(&shares)), shares, waiting: Waiting::new() })
    }

    /// Does what a request asks.
    fn answer(&mut self, memory: &GuestRam, queue: usize, chain: Chain<'_>) -> Result<Answer, RingError> {
        let found = buffers(chain.clone(), memory, MAX_DESCRIPTORS)?;
        let answer = |unique, errno, body: &[u8]| {
            Ok(Answer::Done(message::answer(memory, &found.writable, unique, errno, body)))
        };
        let Some(header) = message::read::<Header>(memory, &found.readable) else {
            return answer(0, libc::EINVAL, &[]);
        };
        let unique = header.unique;
        let wait = |wanted| {
            let (head, writable) = (chain.head_index(), found.writable.clone());
            Waiter { unique, queue, head, writable, wanted }
        };
        match message::kind(&header) {
            Kind::Parsed => {
                let parsed = self.parse(memory, chain, &header, &found.writable);
                self.shares.settle();
                parsed.map(Answer::Done)
            }
            Kind::Unknown => answer(unique, libc::ENOSYS, &[]),
            Kind::Interrupt => {
                if let Some(InterruptIn { unique }) = message::body(memory, &found.readable) {
                    self.waiting.interrupt(unique);
                }
                Ok(Answer::Done(0))
            }
            Kind::Unnamed => {
                let made = message::body(memory, &found.readable).ok_or_else(|| errno(libc::EINVAL));
                match made.and_then(|body| self.shares.unnamed(&Context::from(&header), header.nodeid, body))
                {
                    Ok((entry, fh)) => {
                        let open = OpenOut { fh, ..OpenOut::default() };
                        answer(unique, 0, &[EntryOut::from(entry).as_slice(), open.as_slice()].concat())
                    }
                    Err(error) => answer(unique, number(&error), &[]),
                }
            }
            Kind::Lock => {
                let Some(lock) = message::body::<LkIn>(memory, &found.readable) else {
                    return answer(unique, libc::EINVAL, &[]);
                };
                match lock_errno(&self.shares, header.nodeid, &lock) {
                    libc::EAGAIN if self.waiting.has_room() => {
                        self.waiting.add(wait(Wanted::Lock(header.nodeid, lock)));
                        Ok(Answer::Kept)
                    }
                    libc::EAGAIN => answer(unique, libc::ENOLCK, &[]),
                    errno => answer(unique, errno, &[]),
                }
            }
            Kind::Watch => {
                let kinds = message::body::<u32>(memory, &found.readable).ok_or_else(|| errno(libc::EINVAL));
                let watched = kinds.and_then(|kinds| self.shares.watch(header.nodeid, kinds));
                answer(unique, watched.map_or_else(|error| number(&error), |()| 0), &[])
            }
            Kind::Changes if room(&found.writable) < MAX_CHANGE_BYTES => answer(unique, libc::EINVAL, &[]),
            Kind::Changes if self.waiting.is_listening() => answer(unique, libc::EBUSY, &[]),
            Kind::Changes => {
                self.waiting.add(wait(Wanted::Changes));
                Ok(Answer::Kept)
            }
        }
    }

    /// Hands a request to the library; how many bytes of an answer there are.
    fn parse(
        &self,
        memory: &GuestRam,
        chain: Chain<'_>,
        header: &Header,
        writable: &[Buffer],
    ) -> Result<u32, RingError> {
        // The table is read again, and checked again: the guest may have changed it since.
        let (Ok(reader), Ok(writer)) =
            (Reader::from_descriptor_chain(memory, chain.clone()), VirtioFsWriter::new(memory, chain))
        else {
            return Err(RingError::BrokenChain);
        };
        match self.server.handle_message(reader, Writer::VirtioFs(writer), None, None) {
            Ok(written) => Ok(u32::try_from(written).unwrap_or(u32::MAX)),
            Err(_) if message::has_no_answer(header) => Ok(0),
            Err(error) => {
                tracing::debug!(%error, ?header, "request failed");
                Ok(message::answer(memory, writable, header.unique, libc::EINVAL, &[]))
            }
        }
    }

    /// Asks again for what is waited for if there is a reason to; who is answered, and how many bytes. `is_all`: the queues are empty.
    fn ask(&mut self, memory: &GuestRam, time: bool, is_all: bool) -> Vec<(Waiter, u32)> {
        let is_released = self.shares.has_released();
        let news = self.shares.news();
        if !time && !is_released && news == libc::EAGAIN && !self.waiting.is_interrupted() {
            return Vec::new();
        }
        let done = self.waiting.ask(is_all, |waiter| match &waiter.wanted {
            Wanted::Lock(node, lock) => lock_errno(&self.shares, *node, lock),
            Wanted::Changes => news,
        });
        let answered = done.into_iter().map(|(waiter, errno)| {
            let is_told = errno == 0 && waiter.wants_changes();
            let body = if is_told { self.shares.told_changes(room(&waiter.writable)) } else { Vec::new() };
            let written_bytes = message::answer(memory, &waiter.writable, waiter.unique, errno, &body);
            (waiter, written_bytes)
        });
        answered.collect()
    }
}

/// Tries to lock: 0, or why not.
fn lock_errno(shares: &Shares, node: u64, lock: &LkIn) -> i32 {
    let LkIn { fh, owner, lk, lk_flags, .. } = *lock;
    let set = shares.setlk(&Context::default(), node, fh, owner, lk.into(), lk_flags);
    set.map_or_else(|error| number(&error), |()| 0)
}

/// How much can be said in an answer.
fn room(writable: &[Buffer]) -> usize {
    usize::try_from(total_bytes(writable)).unwrap_or(0).saturating_sub(OUT_HEADER_BYTES).min(MAX_TOLD_BYTES)
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

impl VirtioDevice for Fs {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_FS
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn kicks(&self) -> &[Kick] {
        &self.kicks
    }

    fn features(&self) -> u64 {
        RING_FEATURES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let space = config::space();
        let rest = usize::try_from(offset).ok().and_then(|offset| space.get(offset..)).unwrap_or_default();
        data.fill(0);
        for (to, from) in data.iter_mut().zip(rest) {
            *to = *from;
        }
    }

    fn activate(&mut self, activation: Activation) -> Result<(), ActivateError> {
        let mut queues = activation.queues.into_iter();
        let mut next = |index| queues.next().filter(Queue::ready).ok_or(ActivateError::QueueNotReady(index));
        self.active = Some(Active {
            memory: activation.memory,
            queues: [next(HIGH_PRIORITY)?, next(REQUESTS)?],
            interrupt: activation.interrupt,
            service: None,
        });
        Ok(())
    }

    fn reset(&mut self) {
        self.active = None;
    }
}

impl MutEventSubscriber for Fs {
    fn process(&mut self, events: Events, ops: &mut EventOps<'_>) {
        let time = events.fd() == self.timer.as_raw_fd();
        if time {
            let _ = self.timer.wait();
            self.is_timer_set = false;
        }
        kicks::take(&self.kicks, events.fd());
        self.serve(time);
        self.listen(ops);
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        kicks::watch(&self.kicks, ops, "shares");
        if let Err(error) = ops.add(Events::new(&self.timer, EventSet::IN)) {
            tracing::error!(?error, "cannot watch the timer of locks");
        }
    }
}
