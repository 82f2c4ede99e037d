//! `holm checkpoint ...`: running containers that are saved, to go on from there later.

mod create;
mod directory;
mod ls;
mod rm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

pub(crate) use directory::CheckpointDirectory;

/// Manage checkpoints
#[derive(Debug, Args)]
pub(crate) struct CheckpointGroup {
    #[command(subcommand)]
    verb: CheckpointVerb,
}

#[derive(Debug, Subcommand)]
enum CheckpointVerb {
    Create(create::CreateCheckpoint),
    #[command(visible_alias = "list")]
    Ls(ls::ListCheckpoints),
    #[command(visible_alias = "remove")]
    Rm(rm::RemoveCheckpoint),
}

impl CheckpointGroup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.verb {
            CheckpointVerb::Create(verb) => verb.run(),
            CheckpointVerb::Ls(verb) => verb.run(),
            CheckpointVerb::Rm(verb) => verb.run(),
        }
    }
}
