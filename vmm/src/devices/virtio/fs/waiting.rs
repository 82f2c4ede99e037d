//! Requests that wait: for locks that somebody else has, which are asked for again until they are granted or interrupted, and for
//! what changes on the host.
//!
//! The thread that serves never waits. It asks again when the guest has given something back, and from time to time, since
//! nobody tells what others on the host do: a lock that another VM or process gives back is had at most [`LONGEST`] later.

use std::collections::VecDeque;
use std::time::Duration;

use fuse_backend_rs::abi::fuse_abi::LkIn;

use crate::devices::virtio::ring::Buffer;

/// How long it takes to ask again, first and at most: twice as long each time.
const SHORTEST: Duration = Duration::from_millis(1);
pub(super) const LONGEST: Duration = Duration::from_millis(50);

/// Most that wait at once. Each keeps a place in the queue, which others need, too.
const MAX_WAITERS: usize = 128;

/// A request that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    /// Its number, by which it is interrupted.
    pub(super) unique: u64,
    /// Its queue, its chain there, and where in it the answer goes.
    pub(super) queue: usize,
    pub(super) head: u16,
    pub(super) writable: Vec<Buffer>,
    pub(super) wanted: Wanted,
}

/// What it wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// A lock of an inode.
    Lock(u64, LkIn),
    /// To be told what changed on the host.
    Changes,
}

impl Waiter {
    pub(super) fn wants_changes(&self) -> bool {
        matches!(self.wanted, Wanted::Changes)
    }
}

/// Those who wait, in their order.
#[derive(Debug)]
pub(super) struct Waiting {
    waiters: VecDeque<Waiter>,
    interrupted: VecDeque<u64>,
    pause: Duration,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self { waiters: VecDeque::new(), interrupted: VecDeque::new(), pause: SHORTEST }
    }

    /// Whether somebody waits for what changes on the host.
    pub(super) fn is_listening(&self) -> bool {
        self.waiters.iter().any(Waiter::wants_changes)
    }

    /// Whether one more can wait.
    pub(super) fn has_room(&self) -> bool {
        self.waiters.len() < MAX_WAITERS
    }

    pub(super) fn add(&mut self, waiter: Waiter) {
        self.waiters.push_back(waiter);
        self.pause = SHORTEST;
    }

    /// A request is not to wait any longer. It may come after this, by the other queue.
    pub(super) fn interrupt(&mut self, unique: u64) {
        self.interrupted.push_back(unique);
        // Only a guest that makes them up has more.
        if self.interrupted.len() > 2 * MAX_WAITERS {
            self.interrupted.pop_front();
        }
    }

    /// Asks for each again: `ask` tells its errno, 0 when it has what it wants. Gives those that wait no longer. `is_all` says that no
    /// request is in the queue that an interruption might be meant for.
    pub(super) fn ask(&mut self, is_all: bool, mut ask: impl FnMut(&Waiter) -> i32) -> Vec<(Waiter, i32)> {
        let mut done = Vec::new();
        for waiter in std::mem::take(&mut self.waiters) {
            let errno = if self.interrupted.contains(&waiter.unique) { libc::EINTR } else { ask(&waiter) };
            if errno == libc::EAGAIN {
                self.waiters.push_back(waiter);
            } else {
                done.push((waiter, errno));
            }
        }
        if is_all {
            self.interrupted.clear();
        }
        done
    }

    /// Whether an interruption has come that nobody has looked at.
    pub(super) fn is_interrupted(&self) -> bool {
        !self.interrupted.is_empty()
    }

    /// After how long to ask again, if anybody waits for a lock. `time`: because the last pause is over.
    pub(super) fn pause(&mut self, time: bool) -> Option<Duration> {
        if time {
            self.pause = (self.pause * 2).min(LONGEST);
        }
        (!self.waiters.iter().all(Waiter::wants_changes)).then_some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(unique: u64) -> Waiter {
        let wanted = Wanted::Lock(1, LkIn::default());
        Waiter { unique, queue: 1, head: 0, writable: Vec::new(), wanted }
    }

    fn uniques(done: Vec<(Waiter, i32)>) -> Vec<(u64, i32)> {
        done.into_iter().map(|(waiter, errno)| (waiter.unique, errno)).collect()
    }

    #[test]
    fn they_are_asked_in_their_order_and_less_often_in_time() {
        let mut waiting = Waiting::new();
        assert_eq!(waiting.pause(false), None);
        waiting.add(waiter(1));
        waiting.add(waiter(2));
        let mut asked = Vec::new();
        let done = waiting.ask(true, |waiter| {
            asked.push(waiter.unique);
            if waiter.unique == 1 { libc::EAGAIN } else { 0 }
        });
        assert_eq!((asked, uniques(done)), (vec![1, 2], vec![(2, 0)]));
        assert_eq!((waiting.pause(false), waiting.pause(true)), (Some(SHORTEST), Some(SHORTEST * 2)));
        assert_eq!((0..9).filter_map(|_| waiting.pause(true)).last(), Some(LONGEST));
    }

    #[test]
    fn who_waits_for_changes_is_not_asked_from_time_to_time() {
        let mut waiting = Waiting::new();
        waiting.add(Waiter { wanted: Wanted::Changes, ..waiter(1) });
        assert!(waiting.is_listening() && waiting.pause(false).is_none());
        waiting.add(waiter(2));
        assert_eq!(waiting.pause(false), Some(SHORTEST));
        waiting.interrupt(1);
        assert_eq!(uniques(waiting.ask(true, |_| libc::EAGAIN)), [(1, libc::EINTR)]);
        assert!(!waiting.is_listening());
    }

    #[test]
    fn an_interruption_that_comes_before_its_request_counts() {
        let mut waiting = Waiting::new();
        waiting.interrupt(7);
        assert!(waiting.ask(false, |_| libc::EAGAIN).is_empty() && waiting.is_interrupted());
        waiting.add(waiter(7));
        waiting.add(waiter(8));
        assert_eq!(uniques(waiting.ask(true, |_| libc::EAGAIN)), [(7, libc::EINTR)]);
        assert!(!waiting.is_interrupted());
    }

    #[test]
    fn a_guest_cannot_make_it_grow() {
        let mut waiting = Waiting::new();
        (0..10_000).for_each(|unique| waiting.interrupt(unique));
        assert!(waiting.interrupted.len() <= 2 * MAX_WAITERS);
        while waiting.has_room() {
            waiting.add(waiter(0));
        }
        assert_eq!(waiting.waiters.len(), MAX_WAITERS);
    }
}
