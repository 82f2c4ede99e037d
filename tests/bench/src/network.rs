//! How fast one TCP connection between the host and a guest is, either way.

use std::net::IpAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::container::Container;
use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::guest::{Extra, Guest};
use crate::only::Only;
use crate::sample::alternate;
use crate::shell::Shell;
use crate::tools::{self, Tools};

const MIB: u32 = 64;
/// In a guest; nothing of it is left at the end of the guest.
const SERVER: &str = "iperf3 -s >/dev/null 2>&1 &";
/// Until it listens.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// The second is from the guest to the host.
const FIGURES: [(&str, &[&str]); 2] = [("net.in", &[]), ("net.out", &["--reverse"])];

/// Seconds for 64 MiB in each direction.
pub(crate) fn measure(holm: &Holm, runs: u32, only: &Only) -> Result<Vec<Figure>> {
    let wanted: Vec<_> = FIGURES.into_iter().filter(|(name, _)| only.wants(name)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let tools = Tools::prepare(holm)?;
    let guest = Guest::start(holm, &tools, Extra::None)?;
    let container = Container::start(holm, &[], tools::IMAGE)?;
    for shell in [&container as &dyn Shell, &guest] {
        shell.sh(SERVER)?;
        wait_for(shell)?;
    }
    let figure = |(name, options): (&str, &[&str])| {
        let (here, there) = (container.address(), guest.address());
        let spreads = alternate(runs, || iperf(here, options), || iperf(there, options))?;
        Ok(Figure::new(name, "s", spreads, format!("QEMU, a TAP without vhost, {MIB} MiB"), runs))
    };
    wanted.into_iter().map(figure).collect()
}

fn wait_for(shell: &dyn Shell) -> Result<()> {
    let begun = Instant::now();
    while !shell.sh("netstat -ltn")?.contains(":5201 ") {
        if begun.elapsed() > PATIENCE {
            bail!("iperf3 does not listen in the guest");
        }
        sleep(PAUSE);
    }
    Ok(())
}

/// Seconds of one transfer, as its receiver saw it.
fn iperf(address: IpAddr, options: &[&str]) -> Result<f64> {
    let amount = format!("{MIB}M");
    let mut command = Command::new("iperf3");
    command.args(["--json", "--bytes", &amount, "--client"]).arg(address.to_string()).args(options);
    seconds(&succeed(&mut command)?)
}

/// What is still on its way when the sender stops is not counted as received.
fn seconds(json: &str) -> Result<f64> {
    let report: serde_json::Value = serde_json::from_str(json)?;
    let received = &report["end"]["sum_received"];
    let number = |name: &str| received[name].as_f64().with_context(|| format!("iperf3 gave no {name}"));
    let (seconds, bytes) = (number("seconds")?, number("bytes")?);
    let wanted = f64::from(MIB << 20);
    if bytes < wanted / 2.0 {
        bail!("iperf3 moved {bytes} bytes");
    }
    Ok(seconds * wanted / bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_arrive_is_not_counted() {
        let report =
            |bytes| format!(r#"{{"end": {{"sum_received": {{"seconds": 3.0, "bytes": {bytes}}}}}}}"#);
        assert!((seconds(&report(50_331_648)).unwrap() - 4.0).abs() < 1e-9);
        assert!(seconds(&report(0)).is_err());
        assert!(seconds("{}").is_err());
    }
}
