//! How fast frames may pass in one direction.
//!
//! A frame passes first and is paid for afterwards; the next one has to wait until that is done. So nobody needs to know a
//! frame's length before it moves, and the rate holds all the same. What waits, waits where it is: in the guest's queue, or in
//! the link, which drops what it has no room for, as on any slow wire.

use std::io;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use vmm_sys_util::timerfd::TimerFd;

use crate::devices::rate_limit::TokenBucket;

/// A bucket holds what comes in this part of a second, 1/10, and no less than the longest frame.
const BURSTS_PER_S: u64 = 10;
const MIN_BURST_BYTES: u64 = 64 << 10;

/// A limit that holds.
pub(super) struct Limit {
    price: Price,
    /// Fires when what is owed can be paid.
    timer: TimerFd,
    begin: Instant,
}

/// The same without a clock.
#[derive(Debug)]
struct Price {
    bucket: TokenBucket,
    /// Bytes that have passed and are not paid for.
    owed: u64,
}

impl Limit {
    /// So many bytes in a second.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub(super) fn new(bytes_per_s: NonZeroU64) -> io::Result<Self> {
        let timer = TimerFd::new().map_err(io::Error::from)?;
        Ok(Self { price: Price::new(bytes_per_s), timer, begin: Instant::now() })
    }

    /// What is to be watched, for edges: nobody reads it.
    pub(super) fn timer(&self) -> &TimerFd {
        &self.timer
    }

    /// Notes that a frame of so many bytes has passed; whether the next one may, too. If not, the timer is set.
    pub(super) fn passed(&mut self, bytes: usize) -> bool {
        self.price.owed = self.price.owed.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let now_ns = u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match self.price.pay(now_ns) {
            Ok(()) => true,
            Err(wait_ns) => {
                if let Err(error) = self.timer.reset(Duration::from_nanos(wait_ns), None) {
                    tracing::error!(%error, "cannot set the timer of a network's limit");
                    // Frames that are too fast are better than none for ever.
                    return true;
                }
                false
            }
        }
    }
}

impl Price {
    fn new(bytes_per_s: NonZeroU64) -> Self {
        let burst = (bytes_per_s.get() / BURSTS_PER_S).max(MIN_BURST_BYTES);
        Self { bucket: TokenBucket::new(bytes_per_s.get(), burst), owed: 0 }
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
