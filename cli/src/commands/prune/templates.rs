//! `holm template prune`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use holm_runtime::container::settings::Labels;
use holm_runtime::host::{Installation, disk_usage_bytes};
use holm_runtime::sandbox::template_platform;

use super::filter::{self, PruneFilter};
use super::{PruneOptions, Pruned, print_total};

/// Remove templates that no start goes on from
///
/// Those of another kernel, VMM or processor than this host has now. What was noted of a KVM that cannot go on from
/// templates is forgotten: the next start tries again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm template prune\n  holm template prune -a -f --filter until=720h")]
pub(crate) struct PruneTemplates {
    /// Remove all templates, not just those of no use
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    options: PruneOptions,
}

impl PruneTemplates {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let which = if self.all { "all templates" } else { "all templates that are of no use to this host" };
        if !self.options.confirmed(&format!("WARNING! This will remove {which}."))? {
            return Ok(ExitCode::SUCCESS);
        }
        let pruned = prune(self.all, &self.options.filters)?;
        pruned.print("Deleted Templates");
        print_total(pruned.freed_bytes);
        Ok(ExitCode::SUCCESS)
    }
}

/// Removes templates of another platform, or `all`.
fn prune(all: bool, filters: &[PruneFilter]) -> Result<Pruned> {
    let store = crate::commands::templates()?;
    let here = template_platform(&Installation::find()?).context("cannot tell what templates depend on")?;
    let mut pruned = Pruned::default();
    for template in store.list()? {
        let is_of_use = template.key.is_some_and(|key| key.platform == here);
        if (is_of_use && !all) || !filter::passes(filters, Some(template.made.into()), &Labels::default()) {
            continue;
        }
        let bytes = disk_usage_bytes(&template.directory);
        store.remove(&template.name)?;
        pruned.lines.push(template.name);
        pruned.freed_bytes = pruned.freed_bytes.saturating_add(bytes);
    }
    store.forget_refusals()?;
    Ok(pruned)
}
