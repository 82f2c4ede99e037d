//! How long an image takes from a registry on the same host until it can run.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use holm_test_registry::{DockerRegistry, Mode};

use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::podman::Podman;
use crate::sample::in_turn;

/// Layers of 100 MiB of the host's own programs and libraries, each.
const LAYERS: usize = 3;
const LAYER_MIB: usize = 100;
/// More take long and say little.
const MAX_RUNS: u32 = 5;

/// Against `podman pull` of the same image.
pub(crate) fn pull(holm: &Holm, runs: u32) -> Result<Figure> {
    let runs = runs.min(MAX_RUNS);
    let (registry, podman) = (DockerRegistry::start(Mode::Plain), Podman::at(holm.scratch("podman")?));
    let name = registry.name("big:latest");
    let source = holm.scratch("big")?;
    make_layers(&source)?;
    let build = ["build", "-q", "--layers=true", "--network=none", "-t", &name];
    succeed(podman.command(build).arg(&source))?;
    succeed(&mut podman.command(["push", "-q", "--tls-verify=false", &name]))?;
    fs::remove_dir_all(&source)?;
    // What is not there need not be removed.
    let medians = in_turn(
        runs,
        || {
            let _ = succeed(&mut holm.command(["rmi", "-f", &name]));
            holm.command(["pull", "-q", &name])
        },
        || {
            let _ = succeed(&mut podman.command(["rmi", "-f", "-a"]));
            podman.command(["pull", "-q", "--tls-verify=false", &name])
        },
    )?;
    let against = format!("podman pull, {LAYERS} layers of {LAYER_MIB} MiB");
    Ok(Figure::new("pull", "s", medians, against, runs))
}

/// A build context whose Containerfile adds one directory per layer.
fn make_layers(directory: &Path) -> Result<()> {
    let script = format!(
        "set -e; echo FROM scratch > Containerfile; for layer in $(seq {LAYERS}); do mkdir $layer; \
         echo ADD $layer / >> Containerfile; done; find /usr/lib /usr/bin /usr/sbin -xdev -type f -size -20M | sort | \
         head -n 20000 | xargs du -ab | awk -v limit={} '{{ sum += $1; layer = int(sum / limit) + 1 }} \
         layer <= {LAYERS} {{ print $2 > (layer \".list\") }}'; \
         for layer in $(seq {LAYERS}); do xargs cp --parents -t $layer < $layer.list; done",
        LAYER_MIB << 20
    );
    succeed(Command::new("sh").args(["-c", &script]).current_dir(directory)).map(drop)
}
