//! How fast frames may pass in one direction.
//!
//! A frame passes first and is paid for afterwards; the next one has to wait until that is done. So nobody needs to know a
//! frame's length before it moves, and the rate holds all the same. What waits, waits where it is: in the guest's queue, or in
//! the link, which drops what it has no room for, as on any slow wire.
//!
//! The pairs of queues of a device pay from one purse, each in its own thread and with its own timer.

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vmm_sys_util::timerfd::TimerFd;

use crate::devices::rate_limit::TokenBucket;

/// A bucket holds what comes in this part of a second, 1/10, and no less than the longest frame.
const BURSTS_PER_S: u64 = 10;
const MIN_BURST_BYTES: u64 = 64 << 10;

/// Whoever waits looks again after this at the latest: the rate may have changed.
const MAX_WAIT: Duration = Duration::from_millis(250);

/// The limit of one direction, as one pair of queues has it.
pub(super) struct Limit {
    purse: Arc<Purse>,
    /// Fires when what is owed can be paid.
    timer: TimerFd,
}

/// What all pairs share.
struct Purse {
    /// Whether there is a price: where nothing is limited, nobody waits for a lock.
    is_limited: AtomicBool,
    price: Mutex<Option<Price>>,
    begin: Instant,
}

/// The same without a clock.
#[derive(Debug)]
struct Price {
    bytes_per_s: NonZeroU64,
    bucket: TokenBucket,
    /// Bytes that have passed and are not paid for.
    owed: u64,
}

impl Limit {
    /// So many bytes in a second, or as many as there are.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub(super) fn new(bytes_per_s: Option<NonZeroU64>) -> io::Result<Self> {
        let purse = Purse {
            is_limited: AtomicBool::new(bytes_per_s.is_some()),
            price: Mutex::new(bytes_per_s.map(Price::new)),
            begin: Instant::now(),
        };
        Self::over(Arc::new(purse))
    }

    /// The same limit for another pair.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub(super) fn shared(&self) -> io::Result<Self> {
        Self::over(Arc::clone(&self.purse))
    }

    fn over(purse: Arc<Purse>) -> io::Result<Self> {
        Ok(Self { purse, timer: TimerFd::new().map_err(io::Error::from)? })
    }

    /// Another rate from now on; what was owed at the old one is forgotten. Of those who share it, each says so once.
    pub(super) fn set(&self, bytes_per_s: Option<NonZeroU64>) {
        let mut price = self.purse.price.lock().unwrap_or_else(PoisonError::into_inner);
        if price.as_ref().map(|price| price.bytes_per_s) != bytes_per_s {
            *price = bytes_per_s.map(Price::new);
            self.purse.is_limited.store(bytes_per_s.is_some(), Ordering::Release);
        }
    }

    /// What is to be watched, for edges: nobody reads it.
    pub(super) fn timer(&self) -> &TimerFd {
        &self.timer
    }

    /// Notes that a frame of so many bytes has passed; whether the next one may, too. If not, the timer is set.
    pub(super) fn passed(&mut self, bytes: usize) -> bool {
        let Err(wait_ns) = self.purse.pay(bytes) else { return true };
        if let Err(error) = self.timer.reset(Duration::from_nanos(wait_ns).min(MAX_WAIT), None) {
            tracing::error!(%error, "cannot set the timer of a network's limit");
            // Frames that are too fast are better than none for ever.
            return true;
        }
        false
    }
}

impl Purse {
    /// Or after how many nanoseconds it can be paid.
    fn pay(&self, bytes: usize) -> Result<(), u64> {
        if !self.is_limited.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut price = self.price.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(price) = price.as_mut() else { return Ok(()) };
        price.owed = price.owed.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        price.pay(u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Price {
    fn new(bytes_per_s: NonZeroU64) -> Self {
        let burst = (bytes_per_s.get() / BURSTS_PER_S).max(MIN_BURST_BYTES);
        Self { bytes_per_s, bucket: TokenBucket::new(bytes_per_s.get(), burst), owed: 0 }
    }

    fn pay(&mut self, now_ns: u64) -> Result<(), u64> {
        self.bucket.take(self.owed, now_ns)?;
        self.owed = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_pass_at_the_rate_and_the_next_waits() {
        let mut price = Price::new(NonZeroU64::new(1_000_000).unwrap());
        let mut now = 0;
        let mut passed = 0_u64;
        while now < 10_000_000_000 {
            price.owed += 1500;
            passed += 1500;
            while let Err(wait) = price.pay(now) {
                now += wait;
            }
        }
        let burst = 100_000;
        assert!((10_000_000..=10_000_000 + burst + 3000).contains(&passed), "{passed} bytes in 10 s");
    }
}
