//! The verbs.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod hidden;
mod kill;
mod list;
mod manual;
mod pause;
mod ps;
mod refused;
mod resume;
mod run;
mod spec;
mod start;
mod state;
mod update;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use holm_runtime::oci::{OciContainer, Store};

use crate::Global;

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Checkpoint(refused::Refused),
    Create(create::Create),
    Delete(delete::Delete),
    Events(events::Events),
    Exec(exec::Exec),
    #[command(hide = true)]
    Exhaust(hidden::Exhaust),
    Features(features::Features),
    #[command(hide = true)]
    Hold(hidden::Hold),
    Kill(kill::Kill),
    List(list::List),
    #[command(hide = true)]
    Manual(manual::Manual),
    Pause(pause::Pause),
    Ps(ps::Ps),
    Restore(refused::Refused),
    Resume(resume::Resume),
    Run(run::Run),
    Spec(spec::Spec),
    Start(start::Start),
    State(state::State),
    #[command(hide = true)]
    Supervise(hidden::Supervise),
    Update(update::Update),
}

impl Verb {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        match self {
            Self::Checkpoint(verb) => verb.run("checkpoint"),
            Self::Create(verb) => verb.run(global),
            Self::Delete(verb) => verb.run(global),
            Self::Events(verb) => verb.run(global),
            Self::Exec(verb) => verb.run(global),
            Self::Exhaust(verb) => verb.run(),
            Self::Features(verb) => verb.run(),
            Self::Hold(verb) => verb.run(),
            Self::Kill(verb) => verb.run(global),
            Self::List(verb) => verb.run(global),
            Self::Manual(verb) => verb.run(),
            Self::Pause(verb) => verb.run(global),
            Self::Ps(verb) => verb.run(global),
            Self::Restore(verb) => verb.run("restore"),
            Self::Resume(verb) => verb.run(global),
            Self::Run(verb) => verb.run(global),
            Self::Spec(verb) => verb.run(),
            Self::Start(verb) => verb.run(global),
            Self::State(verb) => verb.run(global),
            Self::Supervise(verb) => verb.run(),
            Self::Update(verb) => verb.run(global),
        }
    }

    /// Whether its standard streams are a workload's for as long as it lives.
    pub(crate) fn has_workloads_streams(&self) -> bool {
        matches!(self, Self::Hold(_) | Self::Supervise(_))
    }

    /// Its exit code when it fails.
    pub(crate) fn failure(&self) -> ExitCode {
        match self {
            Self::Exec(_) | Self::Hold(_) => ExitCode::from(255),
            _ => ExitCode::FAILURE,
        }
    }
}

/// The container of this id.
fn find(global: &Global, id: &str) -> Result<OciContainer> {
    Ok(Store::at(global.root()?).find(id.parse()?)?)
}
