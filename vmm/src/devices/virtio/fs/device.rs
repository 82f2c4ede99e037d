//! The device and its event loop side: queue, request, tree, answer.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use event_manager::{EventOps, Events, MutEventSubscriber};
use fuse_backend_rs::api::server::Server;
use fuse_backend_rs::transport::{Reader, VirtioFsWriter, Writer};
use holm_protocol::vm_config::ShareConfig;
use virtio_bindings::virtio_ids::VIRTIO_ID_FS;
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::eventfd::EventFd;

use super::config::{self, HIGH_PRIORITY, MAX_DESCRIPTORS, QUEUE_SIZES, REQUESTS};
use super::ledger::Limits;
use super::message::{self, Header};
use super::owners::Owners;
use super::share::Root;
use super::shares::Shares;
use super::state::FsState;
use super::thread;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks;
use crate::devices::virtio::ring::{Chain, RING_FEATURES, RingError, buffers};
use crate::devices::virtio::saved_queue::SavedQueue;
use crate::devices::virtio::serve::{Round, serve};
use crate::memory::GuestRam;

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
    roots: Vec<Root>,
    limits: Limits,
    owners: Owners,
    kicks: [EventFd; 2],
    active: Option<Active>,
}

struct Active {
    memory: Arc<GuestRam>,
    queues: [Queue; 2],
    interrupt: Interrupt,
    /// Made at the first request, on the thread that serves.
    server: Option<Server<Shares>>,
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
        let kick = || EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(FsError::Event);
        let roots = shares.iter().map(root).collect::<Result<_, _>>()?;
        let limits = Limits::of(thread::raise_open_files());
        let owners = Owners::of_process();
        Ok(Self { roots, limits, owners, kicks: [kick()?, kick()?], active: None })
    }

    #[cfg(test)]
    pub(super) fn limit(&mut self, inodes: usize, handles: usize) {
        self.limits = Limits { inodes, handles };
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
            in_use: active.is_some_and(|active| active.server.is_some()),
        }
    }

    /// Serves both queues once.
    pub(super) fn serve(&mut self) {
        let Some(active) = &mut self.active else { return };
        match active.serve(&self.roots, self.limits, self.owners) {
            Ok(Round::Empty) => {}
            Ok(Round::More) => {
                let _ = self.kicks[REQUESTS].write(1);
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
    fn serve(&mut self, roots: &[Root], limits: Limits, owners: Owners) -> Result<Round, String> {
        let server = match &mut self.server {
            Some(server) => server,
            none => {
                let shares = thread::prepare().and_then(|()| Shares::new(roots, limits, owners));
                none.insert(Server::new(shares.map_err(|error| error.to_string())?))
            }
        };
        let memory = self.memory.as_ref();
        let mut more = Round::Empty;
        for queue in &mut self.queues {
            let round = serve(queue, memory, &self.interrupt, |chain| answer(server, memory, chain));
            if round.map_err(|error| error.to_string())? == Round::More {
                more = Round::More;
            }
        }
        Ok(more)
    }
}

/// Does what a request asks; how many bytes were written into it.
fn answer(server: &Server<Shares>, memory: &GuestRam, chain: Chain<'_>) -> Result<u32, RingError> {
    let found = buffers(chain.clone(), memory, MAX_DESCRIPTORS)?;
    let header = Header::read(memory, &found.readable);
    let refuse = |errno| Ok(message::refuse(memory, &found.writable, header, errno));
    match header {
        None => return refuse(libc::EINVAL),
        Some(header) if !header.is_served() => return refuse(libc::ENOSYS),
        Some(_) => {}
    }
    // The table is read again, and checked again: the guest may have changed it since.
    let (Ok(reader), Ok(writer)) =
        (Reader::from_descriptor_chain(memory, chain.clone()), VirtioFsWriter::new(memory, chain))
    else {
        return Err(RingError::BrokenChain);
    };
    match server.handle_message(reader, Writer::VirtioFs(writer), None, None) {
        Ok(written) => Ok(u32::try_from(written).unwrap_or(u32::MAX)),
        Err(_) if header.is_some_and(Header::has_no_answer) => Ok(0),
        Err(error) => {
            tracing::debug!(%error, ?header, "request failed");
            refuse(libc::EINVAL)
        }
    }
}

impl VirtioDevice for Fs {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_FS
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn kicks(&self) -> &[EventFd] {
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
            server: None,
        });
        Ok(())
    }

    fn reset(&mut self) {
        self.active = None;
    }
}

impl MutEventSubscriber for Fs {
    fn process(&mut self, _: Events, _: &mut EventOps<'_>) {
        kicks::take(&self.kicks);
        self.serve();
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        kicks::watch(&self.kicks, ops, "shares");
    }
}
