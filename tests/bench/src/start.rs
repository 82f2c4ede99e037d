//! How long a start takes: `holm run --rm busybox true`, all in, from the command to its exit code.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::podman::Podman;
use crate::qemu::MicroVm;
use crate::sample::in_turn;

fn holm_run(holm: &Holm) -> Command {
    holm.command(["run", "--rm", "busybox", "true"])
}

/// A start that boots, against QEMU microvm's cold boot to init of the same kernel.
pub(crate) fn cold(holm: &Holm, runs: u32) -> Result<Figure> {
    let qemu = MicroVm::prepare(&holm.scratch("qemu")?)?;
    let run = || holm.command(["run", "--cold", "--rm", "busybox", "true"]);
    let spreads = in_turn(runs, run, || qemu.command())?;
    Ok(Figure::new("start.cold", "s", spreads, QEMU, runs))
}

/// A start from a template, against the same cold boot.
pub(crate) fn template_against_qemu(holm: &Holm, runs: u32) -> Result<Figure> {
    make_template(holm)?;
    let qemu = MicroVm::prepare(&holm.scratch("qemu")?)?;
    let spreads = in_turn(runs, || holm_run(holm), || qemu.command())?;
    Ok(Figure::new("start.template.qemu", "s", spreads, QEMU, runs))
}

/// A start from a template, against `crun run` of the same busybox.
pub(crate) fn template_against_crun(holm: &Holm, runs: u32) -> Result<Figure> {
    template_against(holm, runs, "start.template.crun", "crun")
}

/// A start from a template, against `runc run` of the same busybox.
pub(crate) fn template_against_runc(holm: &Holm, runs: u32) -> Result<Figure> {
    template_against(holm, runs, "start.template", "runc")
}

/// `podman run` over `holm-runtime`, from a template, against the same over runc.
pub(crate) fn podman(holm: &Holm, runs: u32) -> Result<Figure> {
    let runtime = succeed(Command::new("sh").args(["-c", "command -v holm-runtime"]))?;
    let podman = Podman::at(holm.scratch("podman")?);
    let image = podman.load(holm.image())?;
    let run = |runtime: &str| podman.over(runtime, ["run", "--rm", "--network=none", &image, "true"]);
    succeed(&mut run(&runtime))?;
    let spreads = in_turn(runs, || run(&runtime), || run("runc"))?;
    Ok(Figure::new("start.podman", "s", spreads, "podman run over runc", runs))
}

const QEMU: &str = "QEMU microvm, same kernel, to init";

/// The first start makes the template, the second verifies it.
pub(crate) fn make_template(holm: &Holm) -> Result<()> {
    for _ in 0..2 {
        succeed(&mut holm_run(holm))?;
    }
    Ok(())
}

fn template_against(holm: &Holm, runs: u32, name: &'static str, runtime: &'static str) -> Result<Figure> {
    make_template(holm)?;
    let bundle: PathBuf = holm.bundle()?;
    let baseline = || {
        let mut command = Command::new(runtime);
        command.args(["run", "--bundle"]).arg(&bundle).arg(format!("bench-{}", std::process::id()));
        command
    };
    let spreads = in_turn(runs, || holm_run(holm), baseline)?;
    Ok(Figure::new(name, "s", spreads, format!("{runtime} run"), runs))
}
