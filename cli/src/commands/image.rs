//! `holm image ...`: the verbs of images under one roof, as in Docker.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{history, images, import, inspect, load, prune, pull, push, rmi, save, tag};

/// Manage images
#[derive(Debug, Args)]
pub(crate) struct ImageGroup {
    #[command(subcommand)]
    verb: GroupVerb,
}

#[derive(Debug, Subcommand)]
enum GroupVerb {
    #[command(flatten)]
    Shared(ImageVerb),
    Inspect(inspect::Inspect),
    #[command(visible_alias = "list")]
    Ls(images::Images),
    Prune(prune::images::PruneImages),
    #[command(visible_alias = "remove")]
    Rm(rmi::Rmi),
}

/// The verbs that also stand right under `holm`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ImageVerb {
    Load(load::Load),
    Save(save::Save),
    Import(import::Import),
    Pull(pull::Pull),
    Push(push::Push),
    Tag(tag::Tag),
    History(history::History),
}

impl ImageGroup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.verb {
            GroupVerb::Shared(verb) => verb.run(),
            GroupVerb::Inspect(verb) => verb.run(),
            GroupVerb::Ls(verb) => verb.run(),
            GroupVerb::Prune(verb) => verb.run(),
            GroupVerb::Rm(verb) => verb.run(),
        }
    }
}

impl ImageVerb {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Load(verb) => verb.run(),
            Self::Save(verb) => verb.run(),
            Self::Import(verb) => verb.run(),
            Self::Pull(verb) => verb.run(),
            Self::Push(verb) => verb.run(),
            Self::Tag(verb) => verb.run(),
            Self::History(verb) => verb.run(),
        }
    }
}
