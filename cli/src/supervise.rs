//! `holm supervise ID`: the process behind a running container; started by the verbs, with its listening socket as standard
//! input.
//!
//! Not a verb itself, and told from them before the command line is parsed: every start of a container would pay for the
//! description of all verbs once more.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use holm_runtime::checkpoint::{CheckpointName, CheckpointPlace};
use holm_runtime::container::ContainerId;
use holm_runtime::host;
use holm_runtime::supervisor::{self, CHECKPOINT_FLAG, FILES_FLAG, SUPERVISE_VERB};

/// The words behind `supervise`, if this process is to be a supervisor.
pub(crate) fn asked() -> Option<Vec<OsString>> {
    let mut words = std::env::args_os().skip(1);
    (words.next()? == SUPERVISE_VERB).then(|| words.collect())
}

/// Owns one container, or with the flag only its files: nothing of the container runs then.
///
/// # Errors
/// What kept the workload from running, or words that are not those of a verb of ours.
pub(crate) fn run(words: &[OsString]) -> Result<ExitCode> {
    let (id, files, checkpoint) = match words {
        [id] => (id, false, None),
        [id, flag] if flag == FILES_FLAG => (id, true, None),
        [id, flag, place @ ..] if flag == CHECKPOINT_FLAG => (id, false, Some(checkpoint(place)?)),
        _ => bail!("a supervisor is started by the other verbs only"),
    };
    let id: ContainerId = id.to_string_lossy().parse().context("the container to supervise")?;
    host::hide().and_then(|()| host::renounce()).context("the supervisor's own confinement")?;
    // Wherever it was started, it keeps no file system from being unmounted.
    std::env::set_current_dir("/").context("the supervisor's working directory")?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().context("the supervisor's socket")?;
    let listener = UnixListener::from(socket);
    if files {
        supervisor::serve_files(id, listener)?
    } else {
        supervisor::run(id, listener, checkpoint)?
    }
    Ok(ExitCode::SUCCESS)
}

/// The checkpoint to go on from: its name, and its directory if it has one of its own.
fn checkpoint(words: &[OsString]) -> Result<CheckpointPlace> {
    let (name, directory) = match words {
        [name] => (name, None),
        [name, directory] => (name, Some(directory.into())),
        _ => bail!("a checkpoint has a name, and at most a directory"),
    };
    let name = CheckpointName::try_from(name.to_string_lossy().into_owned());
    Ok(CheckpointPlace { name: name.context("the checkpoint to go on from")?, directory })
}
