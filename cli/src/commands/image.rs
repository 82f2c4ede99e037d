//! `holm image ...`: the verbs of images under one roof, as in Docker.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{images, import, inspect, load, rmi, tag};

/// Manage images
#[derive(Debug, Args)]
pub(crate) struct ImageGroup {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Import(import::Import),
    Inspect(inspect::Inspect),
    Load(load::Load),
    #[command(visible_alias = "list")]
    Ls(images::Images),
    #[command(visible_alias = "remove")]
    Rm(rmi::Rmi),
    Tag(tag::Tag),
}

impl ImageGroup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.verb {
            Verb::Import(verb) => verb.run(),
            Verb::Inspect(verb) => verb.run(),
            Verb::Load(verb) => verb.run(),
            Verb::Ls(verb) => verb.run(),
            Verb::Rm(verb) => verb.run(),
            Verb::Tag(verb) => verb.run(),
        }
    }
}
