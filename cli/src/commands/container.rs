//! `holm container ...`: the verbs of containers under one roof, as in Docker, and `prune`, which stands only here.

use std::io::{self, BufRead};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use holm_runtime::container::{Container, ContainerStore};

use super::{
    attach, create, exec, inspect, kill, logs, pause, ps, rename, restart, rm, run, start, stats, stop, top,
    unpause, wait,
};
use crate::output;

/// Manage containers
#[derive(Debug, Args)]
pub(crate) struct ContainerGroup {
    #[command(subcommand)]
    verb: GroupVerb,
}

#[derive(Debug, Subcommand)]
enum GroupVerb {
    #[command(flatten)]
    Shared(ContainerVerb),
    Inspect(inspect::Inspect),
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ps::Ps),
    Prune(Prune),
}

/// The verbs that also stand right under `holm`.
#[derive(Debug, Subcommand)]
pub(crate) enum ContainerVerb {
    Run(Box<run::Run>),
    Create(Box<create::Create>),
    Start(start::Start),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Kill(kill::Kill),
    Pause(pause::Pause),
    Unpause(unpause::Unpause),
    Wait(wait::Wait),
    Attach(attach::Attach),
    Exec(Box<exec::Exec>),
    Logs(logs::Logs),
    Top(top::Top),
    Stats(stats::Stats),
    Rename(rename::Rename),
    Rm(rm::Rm),
}

impl ContainerGroup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.verb {
            GroupVerb::Shared(verb) => verb.run(),
            GroupVerb::Inspect(verb) => verb.run(),
            GroupVerb::Ls(verb) => verb.run(),
            GroupVerb::Prune(verb) => verb.run(),
        }
    }
}

impl ContainerVerb {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Run(verb) => verb.run(),
            Self::Create(verb) => verb.run(),
            Self::Start(verb) => verb.run(),
            Self::Stop(verb) => verb.run(),
            Self::Restart(verb) => verb.run(),
            Self::Kill(verb) => verb.run(),
            Self::Pause(verb) => verb.run(),
            Self::Unpause(verb) => verb.run(),
            Self::Wait(verb) => verb.run(),
            Self::Attach(verb) => verb.run(),
            Self::Exec(verb) => verb.run(),
            Self::Logs(verb) => verb.run(),
            Self::Top(verb) => verb.run(),
            Self::Stats(verb) => verb.run(),
            Self::Rename(verb) => verb.run(),
            Self::Rm(verb) => verb.run(),
        }
    }
}

/// Remove all stopped containers
#[derive(Debug, Args)]
struct Prune {
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

impl Prune {
    fn run(&self) -> Result<ExitCode> {
        if !self.force && !confirmed("WARNING! This will remove all stopped containers.")? {
            return Ok(ExitCode::SUCCESS);
        }
        let store = super::containers()?;
        let (mut removed, mut freed_bytes) = (Vec::new(), 0_u64);
        for container in store.list()? {
            if let Some(bytes) = prune(&store, &container)? {
                removed.push(container.id.to_string());
                freed_bytes = freed_bytes.saturating_add(bytes);
            }
        }
        super::rm::collect_images(&store)?;
        if !removed.is_empty() {
            output::line(&format!("Deleted Containers:\n{}\n", removed.join("\n")));
        }
        output::line(&format!("Total reclaimed space: {}", output::size(freed_bytes)));
        Ok(ExitCode::SUCCESS)
    }
}

/// Removes a container unless somebody has it; the bytes that its layer took.
fn prune(store: &ContainerStore, container: &Container) -> Result<Option<u64>> {
    use std::os::unix::fs::MetadataExt;
    let Some(_lock) = container.try_lock()? else { return Ok(None) };
    let bytes = container.layer().metadata().map_or(0, |layer| layer.blocks() * 512);
    store.remove(container)?;
    Ok(Some(bytes))
}

fn confirmed(warning: &str) -> Result<bool> {
    output::part(&format!("{warning}\nAre you sure you want to continue? [y/N] "));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
