//! The part that all processes share: from being in the right namespaces to execve.
//!
//! The order matters and follows runc: privileges are needed in turn and given up one after another.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::personality;
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::channel::ChildEnd;
use super::{ChildStdio, init, start_hooks, stdio, terminal::Terminal, workdir};
use crate::container::user::{self, Identity};
use crate::container::{ProcessPlan, environment, program, rlimits};
use crate::fault::{At, Fault};
use crate::sys::{capset, clone, descriptors, signals, tty};

const DEFAULT_UMASK: u32 = 0o022;

/// Becomes the program. In the container's root, as root, with all capabilities.
///
/// # Errors
/// Only returns when that failed.
pub(crate) fn finish(
    plan: &ProcessPlan,
    stdio: &ChildStdio,
    terminal: Option<Terminal>,
    channel: &mut ChildEnd,
) -> Result<Infallible, Fault> {
    let identity = user::resolve(&plan.user)?;
    let mut env = plan.env.clone();
    environment::add_home(&mut env, &identity.home);
    let master = install_stdio(stdio, terminal)?;
    stdio::give_to(&identity).at("giving the standard streams to the user")?;
    umask(Mode::from_bits_truncate(plan.user.umask.unwrap_or(DEFAULT_UMASK) & 0o777));
    if let Some(personality) = plan.personality {
        personality::set(personality).at("setting the personality")?;
    }
    rlimits::apply(&plan.rlimits)?;
    workdir::make(&plan.cwd)?;
    change_user(plan, &identity)?;
    workdir::verify()?;
    descriptors::close_all_on_exec().at("marking descriptors")?;
    // A program that is not there is told when the process is made, as by every OCI runtime: engines look for it then.
    let path = program::find(&plan.program, &env)?;

    if !channel.ready(master) {
        clone::exit_now(super::SETUP_FAILED);
    }
    if plan.init {
        init::split(plan)?;
    }
    start_hooks::run(&plan.start_hooks, plan)?;
    give_up_privileges(plan)?;
    signals::reset();
    let file = CString::new(path.as_os_str().as_encoded_bytes()).refuse("the program's name")?;
    match nix::unistd::execve(&file, &plan.args, &env) {
        Ok(never) => Ok(never),
        Err(error) => Err(program::exec_failed(&path, error)),
    }
}

/// Puts the streams in place and returns the terminal's end for the agent.
fn install_stdio(stdio: &ChildStdio, terminal: Option<Terminal>) -> Result<Option<OwnedFd>, Fault> {
    let Some(Terminal { master, slave }) = terminal else {
        stdio.install().at("installing the standard streams")?;
        return Ok(None);
    };
    let again = || slave.try_clone().at("installing the terminal");
    let streams = ChildStdio { stdin: again()?, stdout: again()?, stderr: again()? };
    streams.install().at("installing the terminal")?;
    tty::make_controlling(slave.as_fd()).at("making the terminal the controlling one")?;
    Ok(Some(master))
}

/// Groups, gid, uid and working directory; capabilities survive for now.
fn change_user(plan: &ProcessPlan, identity: &Identity) -> Result<(), Fault> {
    plan.capabilities.limit_bounding().at("limiting the bounding set")?;
    prctl::set_keepcaps(true).at("keeping capabilities")?;
    let entered = workdir::enter(&plan.cwd);
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).at("setting groups")?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    setresgid(gid, gid, gid).at("setting the group")?;
    setresuid(uid, uid, uid).at("setting the user")?;
    match entered {
        // Root squashed or a capability dropped: the user itself may be let in.
        Err(Errno::EACCES | Errno::EPERM) => workdir::enter(&plan.cwd),
        other => other,
    }
    .refuse(format_args!("entering working directory {:?}", plan.cwd))?;
    prctl::set_keepcaps(false).at("keeping capabilities")
}

/// A filter needs CAP_SYS_ADMIN or no-new-privileges: it comes before the capabilities go, or after the promise.
pub(super) fn give_up_privileges(plan: &ProcessPlan) -> Result<(), Fault> {
    let install = || plan.seccomp.as_ref().map_or(Ok(()), |filter| filter.install().at("installing seccomp"));
    if plan.no_new_privileges {
        plan.capabilities.apply().at("setting capabilities")?;
        prctl::set_no_new_privs().at("setting no-new-privileges")?;
        install()
    } else {
        // A change of user cleared the effective set; the filter needs it once more.
        capset::raise_effective().at("raising capabilities")?;
        install()?;
        plan.capabilities.apply().at("setting capabilities")
    }
}
