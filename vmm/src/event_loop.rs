//! Event loops: the main thread's, and one more for each device that may be slow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use event_manager::{EventManager, EventOps, Events, MutEventSubscriber, SubscriberOps};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::EventFd;

use crate::jail::Role;
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

/// What is served on a thread of its own.
#[derive(Debug)]
pub struct Served {
    stop: Arc<EventFd>,
    thread: JoinHandle<()>,
}

impl Served {
    /// Ends the thread; nothing of it holds the device afterwards. Dropping the value leaves it running.
    pub fn stop(self) {
        // Fails only when the counter is full: it is readable then.
        let _ = self.stop.write(1);
        // A thread that panicked has ended, too.
        let _ = self.thread.join();
    }
}

/// Serves a device, or a part of one, on a thread of its own, of this role.
///
/// # Errors
/// The host refuses.
pub fn spawn(name: String, role: Role, served: Subscriber) -> Result<Served, EventLoopError> {
    let failed = |source| EventLoopError::Thread { name: name.clone(), source };
    let stop = Arc::new(EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(failed)?);
    let asked = Arc::new(AtomicBool::new(false));
    let watch = StopWatch { event: Arc::clone(&stop), asked: Arc::clone(&asked) };
    let mut event_loop = EventLoop::new()?;
    event_loop.add(served);
    event_loop.add(Arc::new(Mutex::new(watch)));
    let body = move || {
        while !asked.load(Ordering::Acquire) {
            if event_loop.turn().is_err() {
                tracing::error!("an event loop has failed");
                return;
            }
        }
    };
    let thread = thread::spawn(name.clone(), Some(role), body).map_err(failed)?;
    Ok(Served { stop, thread })
}

/// Hears that a loop is to end.
struct StopWatch {
    event: Arc<EventFd>,
    asked: Arc<AtomicBool>,
}

impl MutEventSubscriber for StopWatch {
    fn process(&mut self, _: Events, _: &mut EventOps<'_>) {
        self.asked.store(true, Ordering::Release);
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        if let Err(error) = ops.add(Events::new(self.event.as_ref(), EventSet::IN)) {
            tracing::error!(?error, "cannot watch for the end of a device");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::virtio::mmio::SharedDevice;
    use crate::devices::virtio::rng::Rng;

    #[test]
    fn a_thread_that_was_stopped_holds_nothing() {
        let device: SharedDevice = Arc::new(Mutex::new(Rng::new().unwrap()));
        let served = spawn("test".to_owned(), Role::Disk, device.clone()).unwrap();
        assert!(Arc::strong_count(&device) > 1);
        served.stop();
        assert_eq!(Arc::strong_count(&device), 1);
    }
}
