//! `holm system ...`: the engine as a whole.

mod check;
mod df;
mod df_details;
pub(crate) mod info;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::events;
use super::prune::everything::PruneEverything;

/// Manage Holm
#[derive(Debug, Args)]
pub(crate) struct SystemGroup {
    #[command(subcommand)]
    verb: GroupVerb,
}

#[derive(Debug, Subcommand)]
enum GroupVerb {
    Check(check::Check),
    Df(df::Df),
    Events(events::Events),
    Info(info::Info),
    Prune(PruneEverything),
}

impl SystemGroup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.verb {
            GroupVerb::Check(verb) => verb.run(),
            GroupVerb::Events(verb) => verb.run(),
            GroupVerb::Df(verb) => verb.run(),
            GroupVerb::Info(verb) => verb.run(),
            GroupVerb::Prune(verb) => verb.run(),
        }
    }
}
