//! `holm fetch NAME [quiet]`: the process that pulls an image for `run` and `create`; started by them, since it gives up what they need
//! afterwards. Its standard error is theirs, for what people see of a pull; on its standard output it answers with the image's ID, or
//! says what went wrong.
//!
//! Not a verb itself, and told from them before the command line is parsed, as [`crate::supervise`].
//!
//! Trust: it reads what a registry answers. Whoever started it takes its answer for the ID of an image, which has to be in the store.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use holm_runtime::host::Directories;
use holm_runtime::image::{Digest, ImageStore, Reference};
use holm_runtime::registry::{Registries, RegistryError};
use rustix::process::{
    Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, set_parent_process_death_signal,
};

use crate::exit::{self, Failure};
use crate::transfer::{Show, SignalWatch};
use crate::{commands, confined, output};

const VERB: &str = "fetch";
const QUIET: &str = "quiet";

/// The words behind `fetch`, if this process is to pull for another.
pub(crate) fn asked() -> Option<Vec<OsString>> {
    let mut words = std::env::args_os().skip(1);
    (words.next()? == VERB).then(|| words.collect())
}

/// Pulls for whoever waits for the answer.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    match answer(words) {
        Ok(id) => {
            output::line(&id.to_string());
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::line(&format!("{error:#}"));
            ExitCode::from(exit::code(&error))
        }
    }
}

fn answer(words: &[OsString]) -> Result<Digest> {
    let (name, show) = match words {
        [name] => (name, Show::Stderr),
        [name, quiet] if quiet == QUIET => (name, Show::Nothing),
        _ => bail!("one image is fetched at a time"),
    };
    let name: Reference = name.to_string_lossy().parse()?;
    // Without whoever wants the image it is of no use.
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot end with another process")?;
    let store = ImageStore::open(Directories::from_environment().root())?;
    let registries = Registries::from_environment()?;
    confined::to_registry(&store, &registries, &name)?;
    let interrupt = registries.interrupt();
    let _watch = SignalWatch::start(move || interrupt.set())?;
    Ok(commands::pull(&store, &registries, &name, show)?.id)
}

/// Has another process pull an image; gives its ID. To be called while there is one thread only.
///
/// # Errors
/// What that process says.
pub(crate) fn fetch(name: &Reference, quiet: bool) -> Result<Digest> {
    let program = std::env::current_exe().context("cannot find the running program")?;
    let child = Command::new(&program)
        .args([VERB, &name.to_string()])
        .args(quiet.then_some(QUIET))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
        .context("cannot watch the process that pulls")?;
    let watch = SignalWatch::start(move || {
        // One that has ended hears nothing.
        let _ = pidfd_send_signal(&process, Signal::TERM);
    })?;
    let ended = child.wait_with_output().context("cannot wait for the process that pulls")?;
    drop(watch);
    let said = String::from_utf8_lossy(&ended.stdout).trim_end().to_owned();
    match (ended.status.code(), ended.status.signal().and_then(Signal::from_named_raw)) {
        (Some(0), _) => Ok(said.parse()?),
        (Some(code), _) => {
            let code = u8::try_from(code).unwrap_or(exit::FAILURE);
            Err(Failure { code, message: said }.into())
        }
        (None, Some(Signal::INT | Signal::TERM | Signal::HUP)) => Err(RegistryError::Interrupted.into()),
        (None, _) => bail!("the process that pulls failed: {}", ended.status),
    }
}
