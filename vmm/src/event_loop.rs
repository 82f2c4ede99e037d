//! Event loops: the main thread's, and one more for each device that may be slow.

use std::sync::{Arc, Mutex};

use event_manager::{EventManager, MutEventSubscriber, SubscriberOps};

use crate::devices::virtio::mmio::SharedDevice;
use crate::thread;

/// Something that an event loop serves.
pub type Subscriber = Arc<Mutex<dyn MutEventSubscriber + Send>>;

/// An event loop cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EventLoopError {
    /// The process is out of file descriptors, or so.
    #[error("cannot make an event loop: {0:?}")]
    Manager(event_manager::Error),
    /// The host has no thread for it.
    #[error("cannot start the event loop {name}")]
    Thread {
        /// The thread's name.
        name: String,
        /// What the host said.
        source: std::io::Error,
    },
}

/// A loop on the thread that runs it.
pub struct EventLoop {
    manager: EventManager<Subscriber>,
}

impl EventLoop {
    /// A loop that serves nothing yet.
    ///
    /// # Errors
    /// The host refuses.
    pub fn new() -> Result<Self, EventLoopError> {
        Ok(Self { manager: EventManager::new().map_err(EventLoopError::Manager)? })
    }

    /// Serves one more.
    pub fn add(&mut self, subscriber: Subscriber) {
        self.manager.add_subscriber(subscriber);
    }

    /// Waits for events and handles them, once.
    ///
    /// # Errors
    /// Waiting fails: nothing can be served any more.
    pub fn turn(&mut self) -> Result<(), EventLoopError> {
        self.manager.run().map(|_| ()).map_err(EventLoopError::Manager)
    }
}

/// Serves one device on a thread of its own, as long as the process lives.
///
/// # Errors
/// The host refuses.
pub fn spawn(name: String, device: SharedDevice) -> Result<(), EventLoopError> {
    let mut event_loop = EventLoop::new()?;
    event_loop.add(device);
    let body = move || {
        while event_loop.turn().is_ok() {}
        tracing::error!("an event loop has failed");
    };
    let thread = thread::spawn(name.clone(), body);
    thread.map(drop).map_err(|source| EventLoopError::Thread { name, source })
}
