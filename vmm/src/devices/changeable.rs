//! A setting of a device that the host may change while the device is served by another thread.
//!
//! The server looks before each round; where nothing has changed that is one atomic load and no lock. Whoever waits for
//! something that the setting decides wakes from time to time and looks again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A value, and how often it was changed.
#[derive(Debug, Default)]
pub struct Changeable<T> {
    changes: AtomicU64,
    value: Mutex<T>,
}

impl<T: Clone> Changeable<T> {
    /// One that was not changed yet.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self { changes: AtomicU64::new(0), value: Mutex::new(value) }
    }

    /// Holds from the next round on.
    pub fn set(&self, value: T) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = value;
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Changes it in place; what `change` refuses counts as a change, too, which does no harm.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let done = change(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
        self.changes.fetch_add(1, Ordering::Release);
        done
    }

    /// What it is now.
    pub(crate) fn get(&self) -> T {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The value, if it was changed since `seen`, which is noted there.
    pub(crate) fn since(&self, seen: &mut u64) -> Option<T> {
        let changes = self.changes.load(Ordering::Acquire);
        if changes == *seen {
            return None;
        }
        *seen = changes;
        Some(self.value.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once() {
        let (rate, mut seen) = (Changeable::new(1), 0);
        assert_eq!(rate.since(&mut seen), None);
        rate.set(2);
        rate.set(3);
        assert_eq!((rate.since(&mut seen), rate.since(&mut seen)), (Some(3), None));
    }
}
