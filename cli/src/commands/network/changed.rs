//! A change of a container's networks: by its supervisor while it runs, by us while nobody else has it.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use holm_runtime::container::Container;

/// How long somebody else may have the container without running it: `holm cp`, or a supervisor at its end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Does one of the two.
pub(super) fn change(
    container: &Container,
    by_supervisor: impl FnOnce() -> Result<()>,
    by_us: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(_lock) = container.try_lock()? {
            return by_us();
        }
        if container.state()?.status.is_active() {
            return by_supervisor();
        }
        if Instant::now() > deadline {
            bail!("container {} is in use, try again", container.name);
        }
        thread::sleep(PAUSE);
    }
}
