//! Waits until something happens in a directory: inotify(7).

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

/// How long to wait on a host that has no inotify left to give.
const BLIND_WAIT: Duration = Duration::from_millis(100);

/// An inotify watch, where there is one.
#[derive(Debug)]
pub(crate) struct Watch(Option<OwnedFd>);

impl Watch {
    /// Watches the files of `directory`: what is written, made, renamed and removed.
    pub(crate) fn new(directory: &Path) -> Self {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let events = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::DELETE_SELF;
        let inotify =
            inotify::init(flags).and_then(|fd| inotify::add_watch(&fd, directory, events).map(|_| fd));
        if let Err(error) = &inotify {
            tracing::debug!(%error, directory = %directory.display(), "cannot watch; polling instead");
        }
        Self(inotify.ok())
    }

    /// Waits for an event since the last call, at most for so long.
    pub(crate) fn wait(&self, longest: Duration) {
        let Some(inotify) = &self.0 else {
            thread::sleep(BLIND_WAIT.min(longest));
            return;
        };
        let longest = Timespec::try_from(longest).ok();
        let ready = poll(&mut [PollFd::new(inotify, PollFlags::IN)], longest.as_ref());
        match ready {
            Ok(0) | Err(rustix::io::Errno::INTR) => return,
            Ok(_) => {}
            Err(_) => thread::sleep(BLIND_WAIT),
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(inotify, &mut buffer);
        // Which ones does not matter; the last read finds nothing and fails.
        while events.next().is_ok() {}
    }
}
