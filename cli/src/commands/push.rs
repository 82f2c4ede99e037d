//! `holm push`: an image of the store to a registry.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::image::PushProgress;
use holm_runtime::registry::Registries;

use crate::transfer::{Layers, Show, SignalWatch};
use crate::{confined, output};

/// Upload an image to a registry
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm push localhost:5000/my/server:v1")]
pub(crate) struct Push {
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// NAME[:TAG]
    name: String,
}

impl Push {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (store, registries) = (super::images()?, Registries::from_environment()?);
        let image = super::find_image(&store, &self.name)?;
        let plain = self.name.parse()?;
        // As it is called in the store; with a default registry, that may be either.
        let name =
            if image.names().contains(&plain) { plain } else { registries.config().complete(&self.name)? };
        if name.digest().is_some() {
            bail!("cannot push a digest reference: {} must have a tag", self.name);
        }
        confined::to_registry(&store, &registries, &name)?;
        let interrupt = registries.interrupt();
        let _watch = SignalWatch::start(move || interrupt.set())?;
        let layers = Arc::new(Mutex::new(Layers::new(if self.quiet { Show::Nothing } else { Show::Stdout })));
        let shown = layers.clone();
        let line = |text: &str| layers.lock().unwrap_or_else(PoisonError::into_inner).line(text);
        line(&format!("The push refers to repository [{}/{}]", name.registry(), name.repository()));
        let pushed = store.push(
            &registries,
            &image,
            &name,
            &(Arc::new(move |event| {
                report(&mut shown.lock().unwrap_or_else(PoisonError::into_inner), event);
            }) as _),
        )?;
        layers.lock().unwrap_or_else(PoisonError::into_inner).end();
        let tag = name.tag().unwrap_or("latest");
        line(&format!("{tag}: digest: {} size: {}", pushed.digest, pushed.size_bytes));
        if self.quiet {
            output::line(&name.to_string());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Layers are known by their diffIDs here, as in Docker: the blobs are not made yet.
fn report(layers: &mut Layers, event: PushProgress) {
    match event {
        PushProgress::Preparing(diff_id) => layers.say(&diff_id.short(), "Preparing"),
        PushProgress::Pushing { diff_id, sent_bytes, total_bytes } => {
            layers.progress(&diff_id.short(), "Pushing", sent_bytes, total_bytes);
        }
        PushProgress::Pushed(diff_id) => layers.say(&diff_id.short(), "Pushed"),
        PushProgress::Exists(diff_id) => layers.say(&diff_id.short(), "Layer already exists"),
        PushProgress::Mounted(diff_id, from) => {
            layers.say(&diff_id.short(), &format!("Mounted from {from}"));
        }
    }
}
