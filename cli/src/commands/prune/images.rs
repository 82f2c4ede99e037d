//! `holm image prune`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::ContainerStore;
use holm_runtime::image::{Digest, Image, ImageError, ImageStore, Reference};

use super::filter::{self, PruneFilter};
use super::{PruneOptions, Pruned, print_total};

/// Remove unused images
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm image prune\n  holm image prune -a -f --filter until=240h")]
pub(crate) struct PruneImages {
    /// Remove all unused images, not just those without a name
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    options: PruneOptions,
}

impl PruneImages {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let warning = if self.all {
            "WARNING! This will remove all images without at least one container associated to them."
        } else {
            "WARNING! This will remove all dangling images."
        };
        if !self.options.confirmed(warning)? {
            return Ok(ExitCode::SUCCESS);
        }
        let (images, containers) = (crate::commands::images()?, crate::commands::containers()?);
        let pruned = prune(&images, &containers, self.all, &self.options.filters)?;
        pruned.print("Deleted Images");
        print_total(pruned.freed_bytes);
        Ok(ExitCode::SUCCESS)
    }
}

/// Removes images that no container uses and, unless `all` of those are meant, no name names.
pub(super) fn prune(
    store: &ImageStore,
    containers: &ContainerStore,
    all: bool,
    filters: &[PruneFilter],
) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    for image in store.list()? {
        let wanted = (all || image.names().is_empty())
            && filter::passes(filters, image.created(), &image.labels())
            && containers.users_of(&image.id()).is_empty();
        if wanted {
            remove(store, containers, &image, &mut pruned)?;
        }
    }
    Ok(pruned)
}

/// Removes an image name by name. One that somebody begins to use meanwhile stays, with its last name.
fn remove(store: &ImageStore, containers: &ContainerStore, image: &Image, pruned: &mut Pruned) -> Result<()> {
    let mut names: Vec<String> = image.names().iter().map(ToString::to_string).collect();
    if names.is_empty() {
        names.push(image.id().to_string());
    }
    for name in names {
        let removal = match store.remove(&name, false, &|id: &Digest| containers.users_of(id)) {
            Err(ImageError::InUse { .. } | ImageError::NotFound(_)) => return Ok(()),
            removal => removal?,
        };
        let untagged = removal.untagged.iter().map(Reference::familiar);
        pruned.lines.extend(untagged.map(|name| format!("untagged: {name}")));
        pruned.lines.extend(removal.deleted.iter().map(|digest| format!("deleted: {digest}")));
        pruned.freed_bytes = pruned.freed_bytes.saturating_add(removal.freed_bytes);
    }
    Ok(())
}
