//! Waiting for what happens by itself.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Emulated hosts are slow.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until it happened.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn until(what: &str, happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        sleep(PAUSE);
    }
}
