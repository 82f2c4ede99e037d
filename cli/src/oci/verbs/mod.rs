//! The verbs.

mod create;
mod delete;
mod exec;
mod features;
mod hidden;
mod kill;
mod list;
mod pause;
mod ps;
mod resume;
mod run;
mod spec;
mod start;
mod state;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use holm_runtime::oci::{OciContainer, Store};

use crate::Global;

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Create(create::Create),
    Delete(delete::Delete),
    Exec(exec::Exec),
    Features(features::Features),
    #[command(hide = true)]
    Hold(hidden::Hold),
    Kill(kill::Kill),
    List(list::List),
    Pause(pause::Pause),
    Ps(ps::Ps),
    Resume(resume::Resume),
    Run(run::Run),
    Spec(spec::Spec),
    Start(start::Start),
    State(state::State),
    #[command(hide = true)]
    Supervise(hidden::Supervise),
}

impl Verb {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        match self {
            Self::Create(verb) => verb.run(global),
            Self::Delete(verb) => verb.run(global),
            Self::Exec(verb) => verb.run(global),
            Self::Features(verb) => verb.run(),
            Self::Hold(verb) => verb.run(),
            Self::Kill(verb) => verb.run(global),
            Self::List(verb) => verb.run(global),
            Self::Pause(verb) => verb.run(global),
            Self::Ps(verb) => verb.run(global),
            Self::Resume(verb) => verb.run(global),
            Self::Run(verb) => verb.run(global),
            Self::Spec(verb) => verb.run(),
            Self::Start(verb) => verb.run(global),
            Self::State(verb) => verb.run(global),
            Self::Supervise(verb) => verb.run(),
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
