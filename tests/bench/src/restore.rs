//! How long the VMM takes to go on from a template: from the start of its process until vCPUs run. What the guest then touches is a page
//! fault each, and part of the figures of starts.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::containers::Holm;
use crate::figure::Figure;
use crate::installation;
use crate::process::Process;
use crate::qemu::MEMORY_MIB;
use crate::sample::{alternate, clean_memory};
use crate::start::make_template;

/// The argument with which this program is the baseline.
pub(crate) const BARE_VM: &str = "--bare-vm";
/// What the baseline prints when its loop has ended.
pub(crate) const DONE: &str = "the VM has run";
/// What the VMM logs when vCPUs run, and what of it tells that it has not booted instead.
const STARTED: &str = "vCPUs started";
const FROM_TEMPLATE: &str = "origin=Template";

/// Against a program that makes a VM and has it run a loop.
pub(crate) fn restore(holm: &Holm, runs: u32) -> Result<Figure> {
    make_template(holm)?;
    let directory = holm.scratch("restore")?;
    let socket = directory.join("vsock");
    let config = directory.join("config.json");
    let document = config_of(&template(&holm.root().join("templates"))?, &socket)?;
    fs::write(&config, serde_json::to_vec(&document)?)?;
    let vmm = installation::vmm()?;
    let ours = || {
        let _ = fs::remove_file(&socket);
        let mut command = Command::new(&vmm);
        command.args(["--config-fd", "0"]).stdin(File::open(&config)?).stdout(Stdio::null());
        command.stderr(Stdio::piped()).env_clear().env("HOLM_LOG", "debug");
        let (seconds, line) = until(command, STARTED)?;
        if !line.contains(FROM_TEMPLATE) {
            bail!("the VMM did not go on from the template: {line}");
        }
        Ok(seconds)
    };
    let program = std::env::current_exe()?;
    let theirs = || {
        let mut command = Command::new(&program);
        command.arg(BARE_VM).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(until(command, DONE)?.0)
    };
    let spreads = alternate(runs, ours, theirs)?;
    Ok(Figure::new("restore", "s", spreads, "a bare KVM program's VM and loop (goal: 1.5)", runs))
}

/// Seconds from the start of the command until it says this on its standard error, and that line. It ends then.
fn until(mut command: Command, what: &str) -> Result<(f64, String)> {
    clean_memory();
    let begun = Instant::now();
    let mut process = Process::start(&mut command)?;
    let mut said = BufReader::new(process.stderr().context("standard error")?);
    let mut all = String::new();
    loop {
        let mut line = String::new();
        if said.by_ref().read_line(&mut line)? == 0 {
            bail!("{command:?} ended: {}", all.trim());
        }
        if line.contains(what) {
            return Ok((begun.elapsed().as_secs_f64(), line));
        }
        all += &line;
    }
}

/// The one template that the store has: of a VM of the default size.
fn template(store: &Path) -> Result<PathBuf> {
    let found = fs::read_dir(store)?.collect::<Result<Vec<_>, _>>()?;
    let mut templates = found.iter().map(fs::DirEntry::path).filter(|path| path.join("state").exists());
    match (templates.next(), templates.next()) {
        (Some(template), None) => Ok(template),
        _ => bail!("{} has not one template", store.display()),
    }
}

/// What the supervisor would ask for, without a disk: a container's comes after.
fn config_of(template: &Path, socket: &Path) -> Result<serde_json::Value> {
    Ok(json!({
        "vcpus": 1,
        "memory_mib": MEMORY_MIB,
        "boot": { "kernel": installation::kernel()?, "initramfs": installation::initramfs()? },
        "template": {
            "state": template.join("state"),
            "memory": template.join("memory"),
            "check_memory": false,
        },
        "vsock": { "guest_cid": 3, "socket": socket },
    }))
}
