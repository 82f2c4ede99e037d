//! `holm pull`: an image from a registry into the store.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::image::{Digest, ImageStore, Platform, Progress, Pulled, Reference};
use holm_runtime::registry::Registries;

use crate::transfer::{Layers, Show, SignalWatch};
use crate::{confined, output};

/// Download an image from a registry
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm pull busybox\n  holm pull localhost:5000/my/server:v1")]
pub(crate) struct Pull {
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Set platform; this host runs linux/amd64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// NAME[:TAG|@DIGEST]
    name: String,
}

impl Pull {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (store, registries) = (super::images()?, Registries::from_environment()?);
        let name = registries.config().complete(&self.name)?;
        confined::to_registry(&store, &registries, &name)?;
        let interrupt = registries.interrupt();
        let _watch = SignalWatch::start(move || interrupt.set())?;
        let names = if self.all_tags {
            if has_tag(&self.name) {
                bail!("tag can't be used with --all-tags/-a");
            }
            registries.tags(&name)?.iter().filter_map(|tag| name.with_tag(tag)).collect()
        } else {
            vec![name]
        };
        let show = if self.quiet { Show::Nothing } else { Show::Stdout };
        if !self.quiet && !self.all_tags && !has_tag(&self.name) {
            output::line(&format!(
                "Using default tag: {}",
                names.first().and_then(Reference::tag).unwrap_or("")
            ));
        }
        for name in &names {
            pull(&store, &registries, name, show)?;
        }
        if let Some(name) = names.first() {
            let last = if self.all_tags { full_repository(name) } else { name.to_string() };
            output::line(&last);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Pulls one image and says what happens, but for its full name. The caller watches for signals.
pub(crate) fn pull(
    store: &ImageStore,
    registries: &Registries,
    name: &Reference,
    show: Show,
) -> Result<Pulled> {
    let mut layers = Layers::new(show);
    let pulled = store.pull(registries, name, &mut |event| report(&mut layers, name, &event))?;
    layers.end();
    layers.line(&format!("Digest: {}", pulled.digest));
    let what = if pulled.is_new { "Downloaded newer image" } else { "Image is up to date" };
    layers.line(&format!("Status: {what} for {}", name.familiar()));
    Ok(pulled)
}

fn report(layers: &mut Layers, name: &Reference, event: &Progress) {
    // People know layers by the blobs' digests.
    let short = |diff_id: &Digest, digest: &Option<Digest>| digest.unwrap_or(*diff_id).short();
    match event {
        Progress::Found { .. } => {
            let tag = name.digest().or(name.tag()).unwrap_or("latest");
            layers.line(&format!("{tag}: Pulling from {}", name.repository()));
        }
        Progress::Layer { diff_id, digest, read_bytes: 0, .. } => {
            layers.say(&short(diff_id, digest), "Pulling fs layer");
        }
        Progress::Layer { diff_id, digest, read_bytes, total_bytes, .. } => {
            layers.progress(&short(diff_id, digest), "Downloading", *read_bytes, *total_bytes);
        }
        Progress::LayerDone { diff_id, digest } => layers.say(&short(diff_id, digest), "Pull complete"),
        Progress::LayerExists { diff_id, digest } => layers.say(&short(diff_id, digest), "Already exists"),
        Progress::Spooling { .. } => {}
    }
}

fn full_repository(name: &Reference) -> String {
    format!("{}/{}", name.registry(), name.repository())
}

/// Whether the user gave a tag or a digest.
fn has_tag(name: &str) -> bool {
    name.contains('@') || name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}
