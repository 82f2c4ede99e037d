//! How long an image takes from a registry on the same host until it can run.

use std::process::Command;

use anyhow::{Result, bail};
use holm_test_registry::{DockerRegistry, Mode, RegistryImage};

use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::podman::Podman;
use crate::sample::in_turn;

/// Layers of 100 MiB of the host's own programs and libraries, each.
const LAYERS: usize = 3;
const LAYER_MIB: usize = 100;
/// More take long (podman, minutes in the lab) and say little.
const MAX_RUNS: u32 = 3;

/// Against `podman pull` of the same image.
pub(crate) fn pull(holm: &Holm, runs: u32) -> Result<Figure> {
    let runs = runs.min(MAX_RUNS);
    let (registry, podman) = (DockerRegistry::start(Mode::Plain), Podman::at(holm.scratch("podman")?));
    let name = registry.put("big:latest", &RegistryImage::of("amd64", tars()?));
    // What is not there need not be removed.
    let spreads = in_turn(
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
    Ok(Figure::new("pull", "s", spreads, against, runs))
}

/// The layers' tars, each of other files of the host, always the same ones.
fn tars() -> Result<Vec<Vec<u8>>> {
    (0..LAYERS).map(tar).collect()
}

fn tar(layer: usize) -> Result<Vec<u8>> {
    let script = format!(
        "find /usr/lib /usr/bin /usr/sbin -xdev -type f -size -20M -printf '%s %p\\n' | LC_ALL=C sort -k 2 | \
         awk -v limit={} -v layer={layer} '{{ sum += $1; sub(/^[0-9]* /, \"\") }} int(sum / limit) == layer' | \
         tar --create --absolute-names --no-recursion --files-from=-",
        LAYER_MIB << 20
    );
    let made = Command::new("sh").args(["-c", &script]).output()?;
    if !made.status.success() || made.stdout.len() < LAYER_MIB << 19 {
        bail!("tar: {} bytes, {}", made.stdout.len(), String::from_utf8_lossy(&made.stderr).trim());
    }
    Ok(made.stdout)
}
