//! How fast a workload can talk, when every byte goes to its log and to the command line.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::sample::median;

const MIB: usize = 64;
/// Waits for a line, so that no start is counted, then prints a MiB of lines 64 times, from one program.
const SCRIPT: &str = "cd $(busybox mktemp -d); busybox yes 'a line as logs usually have them: some eighty characters, \
                      give or take.' | busybox head -c 1048576 > lines; all=; for i in $(busybox seq 64); do \
                      all=\"$all lines\"; done; echo ready; read go; busybox cat $all; busybox rm lines";

/// Seconds for 64 MiB through `holm run`, against the same program's pipe on the host.
pub(crate) fn logs(holm: &Holm, runs: u32) -> Result<Figure> {
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let name = format!("talker{run}");
        let options =
            ["run", "-i", "--log-opt", "max-size=-1", "--name", &name, "busybox", "sh", "-c", SCRIPT];
        here.push(seconds(&mut holm.command(options))?);
        let logged = Command::new("sh")
            .args(["-c", "holm logs \"$1\" | wc -c", "-", &name])
            .envs(holm.environment())
            .output()?;
        if String::from_utf8_lossy(&logged.stdout).trim() != ((MIB << 20) + "ready\n".len()).to_string() {
            bail!("the log has lost something: {logged:?}");
        }
        succeed(&mut holm.command(["rm", &name]))?;
        there.push(seconds(Command::new("busybox").args(["sh", "-c", SCRIPT]))?);
    }
    let medians = (median(here), median(there));
    Ok(Figure::new("logs.64_mib", "s", medians, "a pipe on the host", runs))
}

/// From the go to the last of the 64 MiB.
fn seconds(command: &mut Command) -> Result<f64> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (mut stdin, mut stdout) =
        (child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?);
    let mut buffer = vec![0; 1 << 20];
    stdout.read_exact(buffer.get_mut(.."ready\n".len()).context("buffer")?)?;
    let begun = Instant::now();
    stdin.write_all(b"go\n")?;
    let mut total = 0;
    loop {
        match stdout.read(&mut buffer)? {
            0 => break,
            count => total += count,
        }
    }
    let elapsed = begun.elapsed().as_secs_f64();
    if !child.wait()?.success() || total != MIB << 20 {
        bail!("{command:?} wrote {total} bytes");
    }
    Ok(elapsed)
}
