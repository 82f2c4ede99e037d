//! The user's wish to end a transfer, seen by all its threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::RegistryError;

/// Set once, by a signal's thread for example; looked at between pieces of data and before waiting.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends what goes on.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// [`RegistryError::Interrupted`] once it is set.
    pub(super) fn check(&self) -> Result<(), RegistryError> {
        if self.0.load(Ordering::Relaxed) { Err(RegistryError::Interrupted) } else { Ok(()) }
    }
}
