//! Doing something on the host as a user of the guest's.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

use super::names::errno;

/// Whoever sent a request. The guest's root is the user that the VMM runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The calling thread acts as another user, until this is dropped.
pub(super) struct Acting(User);

impl User {
    /// Changes the thread's effective user and group (not its saved ones, to which it returns).
    ///
    /// # Errors
    /// The process is not allowed to.
    pub(super) fn act(self) -> io::Result<Acting> {
        // Which is no number of anybody, but "unchanged".
        if self.uid == u32::MAX || self.gid == u32::MAX {
            return Err(errno(libc::EINVAL));
        }
        let mut acting = Acting(Self { uid: 0, gid: 0 });
        if self.gid != 0 {
            set_thread_res_gid(None, Some(Gid::from_raw(self.gid)), None)?;
            acting.0.gid = self.gid;
        }
        if self.uid != 0 {
            set_thread_res_uid(None, Some(Uid::from_raw(self.uid)), None)?;
            acting.0.uid = self.uid;
        }
        Ok(acting)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        let User { uid, gid } = self.0;
        let back = (uid == 0 || set_thread_res_uid(None, Some(Uid::ROOT), None).is_ok())
            && (gid == 0 || set_thread_res_gid(None, Some(Gid::ROOT), None).is_ok());
        if !back {
            tracing::error!("the thread that serves files stays another user's");
        }
    }
}
