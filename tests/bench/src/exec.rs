//! How long one more process takes in a container that runs: `exec true`.

use anyhow::Result;

use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::podman::Podman;
use crate::sample::in_turn;

/// Against `podman exec` with crun.
pub(crate) fn exec(holm: &Holm, runs: u32) -> Result<Figure> {
    let podman = Podman::at(holm.scratch("podman")?);
    let there = podman.sleeper(holm.image())?;
    let here = succeed(&mut holm.command(["run", "-d", "busybox", "sleep", "1000"]))?;
    let spreads =
        in_turn(runs, || holm.command(["exec", &here, "true"]), || podman.command(["exec", &there, "true"]));
    succeed(&mut holm.command(["rm", "-f", &here]))?;
    Ok(Figure::new("exec", "s", spreads?, "podman exec with crun", runs))
}
