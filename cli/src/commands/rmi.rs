//! `holm rmi`: images out of the store.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::image::Digest;

use crate::output;

/// Remove one or more images
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm rmi busybox\n  holm rmi -f 71e99229b98b")]
pub(crate) struct Rmi {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Names or IDs
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Rmi {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let containers = super::containers()?;
        let containers_of = |id: &Digest| containers.users_of(id);
        let store = super::images()?;
        super::each_quietly(&self.images, |name| {
            let removal = store.remove(&super::stored_name(&store, name)?, self.force, &containers_of)?;
            for name in removal.untagged {
                output::line(&format!("Untagged: {}", name.familiar()));
            }
            for digest in removal.deleted {
                output::line(&format!("Deleted: {digest}"));
            }
            Ok(())
        })
    }
}
