//! A network namespace that is made ahead of its container.
//!
//! Making one is a good part of the work of making a container. What the agent does before it calls the host is in the
//! template, where it costs a start nothing.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use crate::sys::namespaces;

/// For the first container that wants one, with its loopback interface up.
pub(crate) struct SpareNetwork(Mutex<Option<OwnedFd>>);

impl SpareNetwork {
    /// Without one, if there is none to be had: the container then makes its own and says what is wrong.
    pub(crate) fn make() -> Self {
        Self(Mutex::new(namespaces::make().ok().map(File::into)))
    }

    /// It goes to one container only.
    pub(crate) fn take(&self) -> Option<OwnedFd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
