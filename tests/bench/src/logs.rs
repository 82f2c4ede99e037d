//! How fast a workload can talk when every byte goes to its log.

use std::io::{Read, copy, sink};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::sample::Spread;

const MIB: u64 = 64;
/// Prints a MiB of lines 64 times, from one program that copies what it prints, and says on standard error how many
/// nanoseconds that took. (busybox's cat would not do: it moves pages into a pipe, where whoever reads it has to copy them.)
const SCRIPT: &str = "set -e; cd $(mktemp -d); yes 'a line as logs usually have them: some eighty characters, give or take.' \
                      | head -c 1048576 >lines; all=; for i in $(seq 64); do all=\"$all lines\"; done; \
                      begin=$(date +%s%N); cat $all; end=$(date +%s%N); rm lines; echo $((end - begin)) >&2";

/// Seconds for 64 MiB into the log of a container in the background, against the same program's pipe on the host: what a workload
/// waits for, the end of it for the log to be whole.
pub(crate) fn logs(holm: &Holm, runs: u32) -> Result<Figure> {
    let debian = holm.image().with_file_name("debian.tar");
    succeed(holm.command(["load", "-q", "-i"]).arg(&debian))?;
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for run in 0..runs {
        here.push(in_a_container(holm, &format!("talker{run}"))?);
        there.push(on_the_host()?);
    }
    Ok(Figure::new("logs.64_mib", "s", (Spread::of(here), Spread::of(there)), "cat's pipe on the host", runs))
}

fn in_a_container(holm: &Holm, name: &str) -> Result<f64> {
    let options = ["run", "-d", "--log-opt", "max-size=-1", "--name", name, "debian", "bash", "-c", SCRIPT];
    succeed(&mut holm.command(options))?;
    if succeed(&mut holm.command(["wait", name]))? != "0" {
        bail!("the workload failed: {:?}", holm.command(["logs", "--tail", "3", name]).output()?);
    }
    let mut logs = holm.command(["logs", name]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let total = copy(&mut logs.stdout.take().context("stdout")?, &mut sink())?;
    let told = String::from_utf8(logs.wait_with_output()?.stderr)?;
    succeed(&mut holm.command(["rm", name]))?;
    seconds(total, &told)
}

fn on_the_host() -> Result<f64> {
    let mut command = Command::new("bash");
    let mut child = command.args(["-c", SCRIPT]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().context("stdout")?;
    let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
    loop {
        match stdout.read(&mut buffer)? {
            0 => break,
            count => total += u64::try_from(count)?,
        }
    }
    seconds(total, &String::from_utf8(child.wait_with_output()?.stderr)?)
}

fn seconds(total_bytes: u64, told_ns: &str) -> Result<f64> {
    if total_bytes != MIB << 20 {
        bail!("{total_bytes} bytes arrived");
    }
    let ns: f64 = told_ns.trim().parse().with_context(|| format!("no duration: {told_ns}"))?;
    Ok(ns / 1e9)
}
