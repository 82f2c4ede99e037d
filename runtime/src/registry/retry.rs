//! Trying again what failed for a moment: 5 tries as Docker does, with waits of 1, 2, 4 and 8 seconds.

use std::thread;
use std::time::{Duration, Instant};

use super::{Interrupt, RegistryError};

/// Longest that a registry may make us wait.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long an interruption goes unnoticed.
const STEP: Duration = Duration::from_millis(100);

/// How often and after which waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all, without success in between.
    pub attempts: u32,
    /// The first wait; each further one is twice as long.
    pub first_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, first_wait: Duration::from_secs(1) }
    }
}

/// The tries of one operation.
#[derive(Debug)]
pub(super) struct Attempts {
    retry: Retry,
    failed: u32,
    interrupt: Interrupt,
}

impl Attempts {
    pub(super) fn new(retry: Retry, interrupt: &Interrupt) -> Self {
        Self { retry, failed: 0, interrupt: interrupt.clone() }
    }

    /// There was progress: failures before it do not count.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }

    /// Waits for the next try.
    ///
    /// # Errors
    /// The given error, when it is not of the kind that goes away or there were enough tries.
    pub(super) fn failed(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.failed += 1;
        if !error.is_transient() || self.failed >= self.retry.attempts {
            return Err(error);
        }
        let asked = match &error {
            RegistryError::Status { retry_after_seconds: Some(seconds), .. } => Duration::from_secs(*seconds),
            _ => Duration::ZERO,
        };
        let doubled = self.retry.first_wait.saturating_mul(1 << (self.failed - 1).min(16));
        let wait = doubled.max(asked).min(MAX_WAIT);
        tracing::info!(error = %error, ?wait, "trying again");
        let end = Instant::now() + wait;
        loop {
            self.interrupt.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(STEP));
        }
    }

    /// Does it until it succeeds or is not worth another try.
    pub(super) fn run<T>(
        mut self,
        mut operation: impl FnMut() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        loop {
            self.interrupt.check()?;
            match operation() {
                Ok(value) => return Ok(value),
                Err(error) => self.failed(error)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> RegistryError {
        RegistryError::Status {
            registry: "r".to_owned(),
            what: "x".to_owned(),
            status,
            reason: String::new(),
            retry_after_seconds: None,
        }
    }

    #[test]
    fn only_what_goes_away_is_tried_again_and_not_forever() {
        let retry = Retry { attempts: 3, first_wait: Duration::ZERO };
        for (code, tries) in [(503, 3), (429, 3), (400, 1)] {
            let mut count = 0;
            let result = Attempts::new(retry, &Interrupt::default()).run(|| {
                count += 1;
                Err::<(), _>(status(code))
            });
            assert!(result.is_err());
            assert_eq!(count, tries, "{code}");
        }
    }

    #[test]
    fn an_interruption_ends_the_waiting() {
        let interrupt = Interrupt::default();
        let retry = Retry { attempts: 5, first_wait: Duration::from_secs(1000) };
        let mut attempts = Attempts::new(retry, &interrupt);
        interrupt.set();
        assert!(matches!(attempts.failed(status(503)), Err(RegistryError::Interrupted)));
    }
}
