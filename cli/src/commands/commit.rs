//! `holm commit`: a container's changes become an image.

use std::io::{self, Read};
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgAction, Args};
use holm_runtime::bundle;
use holm_runtime::image::{CommitOptions, ConfigChange, Reference};
use holm_runtime::sandbox::{Transfer, TransferRequest};
use holm_runtime::supervisor::Moving;

use crate::{confined, output};

/// Create a new image from a container's changes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm commit web web:configured\n  \
                        holm commit -c 'CMD [\"serve\"]' -m 'with certificates' web registry.example/web:2")]
pub(crate) struct Commit {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long)]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<ConfigChange>,
    /// Commit message
    #[arg(short, long)]
    message: Option<String>,
    /// Pause container during commit
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true", value_name = "BOOL")]
    pause: bool,
    /// Name or ID
    container: String,
    /// The image's name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<Reference>,
}

impl Commit {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        let container = store.find(&self.container)?;
        let images = super::images()?;
        let base = images.resolve(&container.record.image_id)?;
        let options = CommitOptions {
            name: self.name,
            author: self.author,
            message: self.message,
            config: bundle::image_config(base.config(), base.config_json(), &container.record.settings),
            changes: self.change,
        };
        let files = super::files(&store, &container)?;
        let request = TransferRequest { pause: self.pause, ..super::transfer(Transfer::ExportLayer)? };
        let layer = WholeLayer(Some(files.begin(request)?));
        confined::to_store(&images)?;
        let image = images.commit_layer(&base, layer, &options)?;
        container.note("commit", &[("imageID", image.id.to_string())]);
        output::line(&image.id.to_string());
        Ok(ExitCode::SUCCESS)
    }
}

/// A layer that ends only if its transfer ended well: half a tar can look like a whole one.
struct WholeLayer(Option<Moving>);

impl Read for WholeLayer {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.0 {
            Some(moving) if !out.is_empty() => moving.read(out)?,
            _ => return Ok(0),
        };
        if count == 0
            && let Some(moving) = self.0.take()
        {
            moving.end().map_err(io::Error::other)?;
        }
        Ok(count)
    }
}
