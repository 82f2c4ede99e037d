//! `holm template ...`: saved VMs that starts go on from.

mod build;
mod ls;
mod rm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::prune;

/// Manage templates, the saved VMs that starts go on from
#[derive(Debug, Args)]
pub(crate) struct TemplateGroup {
    #[command(subcommand)]
    verb: TemplateVerb,
}

#[derive(Debug, Subcommand)]
enum TemplateVerb {
    Build(build::BuildTemplate),
    #[command(visible_alias = "list")]
    Ls(ls::ListTemplates),
    Prune(prune::templates::PruneTemplates),
    #[command(visible_alias = "remove")]
    Rm(rm::RemoveTemplates),
}

impl TemplateGroup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.verb {
            TemplateVerb::Build(verb) => verb.run(),
            TemplateVerb::Ls(verb) => verb.run(),
            TemplateVerb::Prune(verb) => verb.run(),
            TemplateVerb::Rm(verb) => verb.run(),
        }
    }
}
