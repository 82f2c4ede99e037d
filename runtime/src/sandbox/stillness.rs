//! Who wants a container's processes to stand still: they go on when the last one lets them.
//!
//! ```text
//!   0 ──hold: freeze──> 1 ──hold──> 2 ──release──> 1 ──release: thaw──> 0
//! ```
//!
//! Used by the supervisor's main thread (`holm pause`) and by the threads of commits.

use std::sync::{Arc, Mutex, PoisonError};

/// A count of those who hold the processes. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stillness(Arc<Mutex<u32>>);

impl Stillness {
    /// One more; the first one calls `freeze`, and counts for nothing when that fails.
    pub(super) fn hold<E>(&self, freeze: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *holders == 0 {
            freeze()?;
        }
        *holders += 1;
        Ok(())
    }

    /// One less, whatever becomes of it; the last one calls `thaw`.
    pub(super) fn release<E>(&self, thaw: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *holders = holders.saturating_sub(1);
        if *holders == 0 { thaw() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_first_freezes_and_the_last_thaws() {
        let (stillness, calls) = (Stillness::default(), RefCell::new(String::new()));
        let call = |letter| {
            calls.borrow_mut().push(letter);
            Ok::<(), ()>(())
        };
        stillness.hold(|| call('f')).unwrap();
        stillness.clone().hold(|| call('f')).unwrap();
        stillness.release(|| call('t')).unwrap();
        assert_eq!(*calls.borrow(), "f");
        stillness.release(|| call('t')).unwrap();
        assert_eq!(*calls.borrow(), "ft");
        assert!(stillness.hold(|| Err(())).is_err());
        stillness.hold(|| call('f')).unwrap();
        assert_eq!(*calls.borrow(), "ftf", "a failed one holds nothing");
    }
}
