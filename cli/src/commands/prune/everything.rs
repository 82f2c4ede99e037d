//! `holm system prune`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{PruneOptions, containers, images, networks, print_total, volumes};

/// Remove unused data
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm system prune\n  holm system prune -a -f --filter until=240h")]
pub(crate) struct PruneEverything {
    /// Remove all unused images, not just those without a name
    #[arg(short, long)]
    all: bool,
    /// Prune anonymous volumes
    #[arg(long)]
    volumes: bool,
    #[command(flatten)]
    options: PruneOptions,
}

impl PruneEverything {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let which = if self.all {
            "all images without at least one container associated to them"
        } else {
            "all dangling images"
        };
        let also =
            if self.volumes { "  - all anonymous volumes not used by at least one container\n" } else { "" };
        let warning = format!(
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n{also}  - {which}\n"
        );
        if !self.options.confirmed(&warning)? {
            return Ok(ExitCode::SUCCESS);
        }
        let store = crate::commands::containers()?;
        // Containers first: they are what keeps images in use.
        let of_containers = containers::prune(&store, &self.options.filters)?;
        of_containers.print("Deleted Containers");
        networks::prune(&store, &self.options.filters)?.print("Deleted Networks");
        let mut of_volumes = super::Pruned::default();
        if self.volumes {
            of_volumes = volumes::prune(&store, false, &self.options.filters)?;
            of_volumes.print("Deleted Volumes");
        }
        let of_images = images::prune(&crate::commands::images()?, &store, self.all, &self.options.filters)?;
        of_images.print("Deleted Images");
        let freed = [&of_containers, &of_volumes, &of_images].map(|pruned| pruned.freed_bytes);
        print_total(freed.into_iter().fold(0, u64::saturating_add));
        Ok(ExitCode::SUCCESS)
    }
}
