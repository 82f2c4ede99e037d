//! How much may pass in a while: a token bucket. Pure; the time is the caller's, and only ever compared with itself.
//!
//! ```text
//!   rate_per_s ──> ( at most burst ) ──> take(n)
//! ```
//!
//! What passes is bytes or operations, whatever the caller counts. Arithmetic is exact: an odd rate loses nothing to
//! rounding, however often somebody asks.

/// Nanoseconds in a second.
const SECOND_NS: i128 = 1_000_000_000;

/// A bucket that fills at a steady rate. It starts full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    rate_per_s: i128,
    /// In billionths of a token: what comes in a nanosecond is then a whole number.
    capacity: i128,
    /// In billionths of a token; negative while something large is paid off.
    level: i128,
    filled_at_ns: u64,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens, which gets `rate_per_s` each second. Neither is less than 1.
    #[must_use]
    pub fn new(rate_per_s: u64, burst: u64) -> Self {
        let capacity = i128::from(burst.max(1)) * SECOND_NS;
        Self { rate_per_s: rate_per_s.max(1).into(), capacity, level: capacity, filled_at_ns: 0 }
    }

    /// Takes `n` tokens at the time `now_ns`, of a clock that does not go back.
    ///
    /// Who wants more than the bucket holds gets it from a full one, and what is missing then is waited for by the next: so
    /// nothing is too large to pass, and the rate holds.
    ///
    /// # Errors
    /// There are too few: for how many nanoseconds to wait before it can pass, at least 1. Nothing was taken.
    pub fn take(&mut self, n: u64, now_ns: u64) -> Result<(), u64> {
        let elapsed_ns = now_ns.saturating_sub(self.filled_at_ns);
        self.filled_at_ns = self.filled_at_ns.max(now_ns);
        let gained = self.rate_per_s.saturating_mul(elapsed_ns.into());
        self.level = self.level.saturating_add(gained).min(self.capacity);
        let wanted = i128::from(n) * SECOND_NS;
        let missing = wanted.min(self.capacity) - self.level;
        if missing <= 0 {
            self.level -= wanted;
            return Ok(());
        }
        // Rounded up: who waits so long finds what it needs.
        Err(u64::try_from((missing + self.rate_per_s - 1) / self.rate_per_s).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = TokenBucket::new(1000, 100);
        assert_eq!(bucket.take(100, 5 * SECOND), Ok(()));
        assert_eq!(bucket.take(10, 5 * SECOND), Err(SECOND / 100));
        assert_eq!(bucket.take(10, 5 * SECOND + SECOND / 100), Ok(()));
        // A long rest fills it no further than a burst.
        assert_eq!(bucket.take(100, 50 * SECOND), Ok(()));
        assert_eq!(bucket.take(1, 50 * SECOND), Err(SECOND / 1000));
    }

    #[test]
    fn what_is_larger_than_the_bucket_passes_and_is_paid_for_afterwards() {
        let mut bucket = TokenBucket::new(1000, 100);
        assert_eq!(bucket.take(500, 0), Ok(()));
        // 400 are owed, and a token is wanted.
        assert_eq!(bucket.take(1, 0), Err(SECOND / 1000 * 401));
        assert_eq!(bucket.take(1, SECOND / 1000 * 401), Ok(()));
    }

    #[test]
    fn who_waits_as_told_passes_and_the_sum_is_exact() {
        for rate in [1, 3, 7, 999_999_937] {
            let mut bucket = TokenBucket::new(rate, 2);
            assert_eq!(bucket.take(2, 0), Ok(()));
            let mut now = 0;
            for passed in 1..1000_u64 {
                if let Err(wait) = bucket.take(1, now) {
                    // Asking too early changes nothing.
                    assert!(bucket.take(1, now + wait - 1).is_err(), "rate {rate}");
                    now += wait;
                    assert_eq!(bucket.take(1, now), Ok(()), "rate {rate}");
                }
                assert_eq!(u128::from(now), (u128::from(passed) * u128::from(SECOND)).div_ceil(rate.into()));
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_breaks_nothing() {
        let mut bucket = TokenBucket::new(1, 1);
        assert_eq!(bucket.take(1, 10 * SECOND), Ok(()));
        assert_eq!(bucket.take(1, 0), Err(SECOND));
        assert_eq!(bucket.take(1, 11 * SECOND), Ok(()));
    }

    #[test]
    fn extremes_overflow_nothing() {
        let mut bucket = TokenBucket::new(u64::MAX, u64::MAX);
        assert_eq!(bucket.take(u64::MAX, u64::MAX), Ok(()));
        assert_eq!(bucket.take(u64::MAX, u64::MAX), Err(SECOND));
        let mut slow = TokenBucket::new(0, 0);
        assert_eq!(slow.take(u64::MAX, 0), Ok(()));
        assert_eq!(slow.take(1, 0), Err(u64::MAX));
    }
}
