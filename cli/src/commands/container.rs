//! `holm container ...`: the verbs of containers under one roof, as in Docker, and `prune`, which stands only here.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{
    attach, commit, cp, create, diff, exec, export, fork, inspect, kill, logs, pause, port, prune, ps,
    rename, restart, rm, run, start, stats, stop, top, unpause, update, wait,
};

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
    Prune(prune::containers::PruneContainers),
}

/// The verbs that also stand right under `holm`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
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
    Commit(commit::Commit),
    Cp(cp::Cp),
    Diff(diff::Diff),
    Export(export::Export),
    Fork(fork::Fork),
    Logs(logs::Logs),
    Top(top::Top),
    Stats(stats::Stats),
    Rename(rename::Rename),
    Rm(rm::Rm),
    Port(port::Port),
    Update(Box<update::Update>),
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
            Self::Commit(verb) => verb.run(),
            Self::Cp(verb) => verb.run(),
            Self::Diff(verb) => verb.run(),
            Self::Export(verb) => verb.run(),
            Self::Fork(verb) => verb.run(),
            Self::Logs(verb) => verb.run(),
            Self::Top(verb) => verb.run(),
            Self::Stats(verb) => verb.run(),
            Self::Rename(verb) => verb.run(),
            Self::Rm(verb) => verb.run(),
            Self::Port(verb) => verb.run(),
            Self::Update(verb) => verb.run(),
        }
    }
}
