//! The process that carries one transfer out.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{Shutdown as Half, shutdown};
use nix::sys::stat::{Mode, umask};

use super::{Job, Layers};
use crate::child::channel::ChildEnd;
use crate::fault::{At, Fault};
use crate::sys::{clone, descriptors};

/// Runs in the clone; reports on `channel` when all is done.
pub(crate) fn run(job: &Job, layers: &Layers, stream: OwnedFd, early: Vec<u8>, mut channel: ChildEnd) -> ! {
    match transfer(job, layers, stream, &early, &channel) {
        // The answer is that nobody listens any more.
        Ok(()) => drop(channel.ready(None)),
        Err(fault) => channel.fail(&fault),
    }
    clone::exit_now(0)
}

fn transfer(
    job: &Job,
    layers: &Layers,
    stream: OwnedFd,
    early: &[u8],
    channel: &ChildEnd,
) -> Result<(), Fault> {
    descriptors::close_all_except(&[channel.as_fd(), stream.as_fd()]).at("closing descriptors")?;
    umask(Mode::empty());
    // The agent, which works without blocking, has let go of it.
    fcntl(&stream, FcntlArg::F_SETFL(OFlag::empty())).at("preparing the stream")?;
    let mut stream = File::from(stream);
    job.carry_out(layers, early, &stream)?;
    if job.sends() {
        shutdown(stream.as_raw_fd(), Half::Write).at("ending the stream")?;
        // Closing at once could overtake data that the host has not taken yet.
        while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
    }
    Ok(())
}
