//! A further process of a running container (`docker exec`).
//!
//! The clone is already in the container's pid namespace and cgroup. It joins the rest before it looks at anything the
//! container could have prepared.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use nix::unistd::setsid;

use super::channel::ChildEnd;
use super::terminal::Terminal;
use super::{ChildStdio, finish};
use crate::container::ProcessPlan;
use crate::container::namespaces::Namespaces;
use crate::container::rootdir::RootDir;
use crate::fault::{At, Fault};
use crate::sys::{clone, descriptors};

/// Runs in the clone. `container` is a pidfd of the container's first process.
pub(crate) fn run(
    plan: &ProcessPlan,
    namespaces: Namespaces,
    container: BorrowedFd<'_>,
    stdio: &ChildStdio,
    mut channel: ChildEnd,
) -> ! {
    let Err(fault) = join_container(plan, namespaces, container, stdio, &mut channel);
    channel.fail(&fault);
    clone::exit_now(super::SETUP_FAILED)
}

fn join_container(
    plan: &ProcessPlan,
    namespaces: Namespaces,
    container: BorrowedFd<'_>,
    stdio: &ChildStdio,
    channel: &mut ChildEnd,
) -> Result<Infallible, Fault> {
    let [stdin, stdout, stderr] = stdio.descriptors();
    descriptors::close_all_except(&[channel.as_fd(), container, stdin, stdout, stderr])
        .at("closing descriptors")?;
    setsid().at("starting a session")?;
    let flags = CloneFlags::from_bits_retain(namespaces.to_join());
    setns(container, flags).at("joining the container's namespaces")?;
    let terminal = match plan.terminal {
        Some(size) => Some(Terminal::open(&RootDir::open(Path::new("/")).at("opening the root")?, size)?),
        None => None,
    };
    finish::finish(plan, stdio, terminal, channel)
}
