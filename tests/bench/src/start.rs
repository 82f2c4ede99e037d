//! How long a start takes: `holm run --rm busybox true`, all in, from the command to its exit code.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::containers::Holm;
use crate::figure::Figure;
use crate::qemu::MicroVm;
use crate::sample::in_turn;

fn holm_run(holm: &Holm) -> Command {
    holm.command(["run", "--rm", "busybox", "true"])
}

/// Against QEMU microvm's cold boot to init of the same kernel.
pub(crate) fn cold(holm: &Holm, runs: u32) -> Result<Figure> {
    let qemu = MicroVm::prepare(&holm.scratch("qemu")?)?;
    let medians = in_turn(runs, || holm_run(holm), || qemu.command())?;
    Ok(Figure::new("start.cold", "s", medians, "QEMU microvm, same kernel, to init", runs))
}

/// Against `crun run` of the same busybox.
pub(crate) fn cold_against_crun(holm: &Holm, runs: u32) -> Result<Figure> {
    against(holm, runs, "start.cold.crun", "crun")
}

/// Against `runc run` of the same busybox.
pub(crate) fn cold_against_runc(holm: &Holm, runs: u32) -> Result<Figure> {
    against(holm, runs, "start.cold.runc", "runc")
}

fn against(holm: &Holm, runs: u32, name: &'static str, runtime: &'static str) -> Result<Figure> {
    let bundle: PathBuf = holm.bundle()?;
    let baseline = || {
        let mut command = Command::new(runtime);
        command.args(["run", "--bundle"]).arg(&bundle).arg(format!("bench-{}", std::process::id()));
        command
    };
    let medians = in_turn(runs, || holm_run(holm), baseline)?;
    Ok(Figure::new(name, "s", medians, format!("{runtime} run"), runs))
}
