//! `holm tag`: one more name for an image.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::image::Reference;

/// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm tag busybox registry.example/tools/busybox:1")]
pub(crate) struct Tag {
    /// Name or ID
    source_image: String,
    /// The new name
    target_image: Reference,
}

impl Tag {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::images()?;
        store.tag(&super::stored_name(&store, &self.source_image)?, &self.target_image)?;
        Ok(ExitCode::SUCCESS)
    }
}
