//! `start`: a shim that outlives this process, and the address at which it serves.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use holm_runtime::oci::{self, OciId};

use crate::address::Address;
use crate::command_line::CommandLine;

/// The kernel's highest.
const MAX_OOM_SCORE: i32 = 1000;

/// Starts a shim for a container, unless one is there, and prints its address. The containers of a pod have one, that of its sandbox.
pub(crate) fn start(words: &CommandLine) -> Result<()> {
    let pod = oci::sandbox_of(&words.bundle).context("cannot read the bundle")?;
    let serves = pod.as_ref().map_or(words.id.as_str(), OciId::as_str);
    let address = Address::of(&words.address, &words.namespace, serves);
    if pod.is_some() && !address.is_served() {
        bail!("the pod's sandbox {serves} does not run");
    }
    if !address.is_served() {
        spawn(words, &address)?;
    }
    // containerd looks for it here when it was started anew.
    let written = holm_faults::fault!("shim.start.address")
        .and_then(|()| fs::write(words.bundle.join("address"), address.url()));
    written.context("cannot write the address")?;
    std::io::stdout().write_all(address.url().as_bytes()).context("cannot print the address")
}

/// Its standard input is the socket: whoever connects from now on waits in its backlog.
fn spawn(words: &CommandLine, address: &Address) -> Result<()> {
    let bound = holm_faults::fault!("shim.start.bind").and_then(|()| address.bind());
    let listener = bound.with_context(|| format!("cannot listen at {}", address.url()))?;
    holm_faults::crash!("shim.start.bound");
    let program = std::env::current_exe().context("cannot find the running program")?;
    let mut command = Command::new(program);
    command.args(["--namespace", &words.namespace, "--id", &words.id, "--address", &words.address]);
    if words.debug {
        command.arg("--debug");
    }
    command.arg("serve").stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::null());
    let shim = holm_faults::fault!("shim.start.spawn").and_then(|()| command.process_group(0).spawn());
    if shim.is_err() {
        // The first failure is the one to tell.
        let _ = address.remove();
    }
    let shim = shim.context("cannot start the shim")?;
    holm_faults::crash!("shim.start.spawned");
    // A host without it has no scores.
    if let Err(error) = give_way(shim.id()) {
        tracing::warn!(%error, "cannot set the shim's OOM score");
    }
    Ok(())
}

/// The kernel ends a shim before it ends containerd.
fn give_way(shim: u32) -> Result<()> {
    let parents = fs::read_to_string(format!("/proc/{}/oom_score_adj", parent_id()))?;
    let score = parents.trim().parse::<i32>()?.saturating_add(1).min(MAX_OOM_SCORE);
    Ok(fs::write(format!("/proc/{shim}/oom_score_adj"), score.to_string())?)
}
