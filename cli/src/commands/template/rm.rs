//! `holm template rm`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

/// Remove one or more templates
///
/// VMs that went on from them keep running. The next start that could use it makes a new one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm template rm $(holm template ls -q)")]
pub(crate) struct RemoveTemplates {
    /// Names
    #[arg(required = true, value_name = "TEMPLATE")]
    templates: Vec<String>,
}

impl RemoveTemplates {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = crate::commands::templates()?;
        crate::commands::each(&self.templates, |name| {
            // Looked for in the list, so that no name leads elsewhere.
            if !store.list()?.iter().any(|template| template.name == *name) {
                bail!("no such template: {name}");
            }
            Ok(store.remove(name)?)
        })
    }
}
