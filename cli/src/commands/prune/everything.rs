//! `holm system prune`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::filter::PruneFilter;
use super::{confirmed, containers, images, print_total};

/// Remove unused data
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm system prune\n  holm system prune -a -f --filter until=240h")]
pub(crate) struct PruneEverything {
    /// Remove all unused images, not just those without a name
    #[arg(short, long)]
    all: bool,
    /// Only what passes: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "FILTER")]
    filter: Vec<PruneFilter>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

impl PruneEverything {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let which = if self.all {
            "all images without at least one container associated to them"
        } else {
            "all dangling images"
        };
        let warning = format!("WARNING! This will remove:\n  - all stopped containers\n  - {which}\n");
        if !self.force && !confirmed(&warning)? {
            return Ok(ExitCode::SUCCESS);
        }
        let store = crate::commands::containers()?;
        // Containers first: they are what keeps images in use.
        let of_containers = containers::prune(&store, &self.filter)?;
        of_containers.print("Deleted Containers");
        let of_images = images::prune(&crate::commands::images()?, &store, self.all, &self.filter)?;
        of_images.print("Deleted Images");
        print_total(of_containers.freed_bytes.saturating_add(of_images.freed_bytes));
        Ok(ExitCode::SUCCESS)
    }
}
