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
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Attach(attach::Attach),
    Create(Box<create::Create>),
    Exec(Box<exec::Exec>),
    Inspect(inspect::Inspect),
    Kill(kill::Kill),
    Logs(logs::Logs),
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ps::Ps),
    Pause(pause::Pause),
    Prune(Prune),
    Rename(rename::Rename),
    Restart(restart::Restart),
    #[command(visible_alias = "remove")]
    Rm(rm::Rm),
    Run(Box<run::Run>),
    Start(start::Start),
    Stats(stats::Stats),
    Stop(stop::Stop),
    Top(top::Top),
    Unpause(unpause::Unpause),
    Wait(wait::Wait),
}

impl ContainerGroup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.verb {
            Verb::Attach(verb) => verb.run(),
            Verb::Create(verb) => verb.run(),
            Verb::Exec(verb) => verb.run(),
            Verb::Inspect(verb) => verb.run(),
            Verb::Kill(verb) => verb.run(),
            Verb::Logs(verb) => verb.run(),
            Verb::Ls(verb) => verb.run(),
            Verb::Pause(verb) => verb.run(),
            Verb::Prune(verb) => verb.run(),
            Verb::Rename(verb) => verb.run(),
            Verb::Restart(verb) => verb.run(),
            Verb::Rm(verb) => verb.run(),
            Verb::Run(verb) => verb.run(),
            Verb::Start(verb) => verb.run(),
            Verb::Stats(verb) => verb.run(),
            Verb::Stop(verb) => verb.run(),
            Verb::Top(verb) => verb.run(),
            Verb::Unpause(verb) => verb.run(),
            Verb::Wait(verb) => verb.run(),
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
