//! `holm stats`: what containers use, once or again and again.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::network::Endpoint;
use holm_runtime::sandbox::{Footprint, Usage};
use holm_runtime::supervisor::protocol::{Report, Request};
use serde_json::{Value, json};

use crate::format::Format;
use crate::{output, published};

/// Display a live stream of container(s) resource usage statistics
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm stats\n  holm stats --no-stream --format '{{.Name}} {{.MemUsage}}' web\n\n\
                        Fields: .ID .Name .CPUPerc .MemUsage .MemPerc .NetIO .BlockIO .PIDs, and of the host's memory:\n  \
                        .HostMem    what the VM costs in all, each shared page counted by its share (PSS)\n  \
                        .VMMMem     of that, what the container does not use: guest kernel and caches, agent, VMM\n  \
                        .SharedMem  what is saved because other VMs have the same pages (RSS less PSS)"
)]
pub(crate) struct Stats {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Format output using a Go template, 'json' or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Names or IDs (default: all that run)
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

const COLUMNS: [(&str, &str); 8] = [
    ("CONTAINER ID", "ID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
];

/// Between the two looks that make a share of processor time.
const INTERVAL: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its upper left corner (ECMA-48: ED, CUP).
const CLEAR: &str = "\x1b[2J\x1b[H";

/// What a container used, and when.
type Look = (Instant, Usage);

impl Stats {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        let store = super::containers()?;
        let mut before = self.look(&store)?;
        loop {
            sleep(INTERVAL);
            let after = self.look(&store)?;
            let rows: Vec<Value> = after
                .iter()
                .map(|(container, look)| {
                    let earlier = before.iter().find(|(other, _)| other.id == container.id);
                    self.describe(&store, container, earlier.map(|(_, look)| *look), *look)
                })
                .collect();
            if !self.no_stream && std::io::stdout().is_terminal() {
                output::part(CLEAR);
            }
            format.print(&COLUMNS, &rows)?;
            if self.no_stream {
                return Ok(ExitCode::SUCCESS);
            }
            before = after;
        }
    }

    fn look(&self, store: &ContainerStore) -> Result<Vec<(Container, Look)>> {
        let named: Result<Vec<Container>, _> = self.containers.iter().map(|name| store.find(name)).collect();
        let (wanted, all) = if self.containers.is_empty() { (store.list()?, true) } else { (named?, false) };
        let mut looks = Vec::new();
        for container in wanted {
            match super::question(store, &container, Request::Usage) {
                Ok(Report::Usage(usage)) => looks.push((container, (Instant::now(), usage))),
                Ok(_) => bail!("the supervisor answered something else"),
                // It does not run, or ends just now.
                Err(_) if self.all => looks.push((container, (Instant::now(), Usage::default()))),
                Err(_) if all => {}
                Err(error) => return Err(error),
            }
        }
        Ok(looks)
    }

    fn describe(
        &self,
        store: &ContainerStore,
        container: &Container,
        earlier: Option<Look>,
        (now, usage): Look,
    ) -> Value {
        let host = |part: &dyn Fn(Footprint) -> u64| {
            usage.footprint.map_or_else(|| "--".to_owned(), |footprint| output::binary_size(part(footprint)))
        };
        let carried = published::endpoints(store, container);
        let (received, sent) = carried
            .iter()
            .filter_map(Endpoint::carried_bytes)
            .fold((0, 0), |all: (u64, u64), one| (all.0 + one.0, all.1 + one.1));
        let id = if self.no_trunc { container.id.as_str() } else { container.id.short() };
        let cpu = earlier.map_or(0.0, |(then, before)| {
            let used_us = usage.cpu_time_us.saturating_sub(before.cpu_time_us);
            percent(used_us, u64::try_from((now - then).as_micros()).unwrap_or(u64::MAX))
        });
        json!({
            "ID": id,
            "Container": id,
            "Name": container.name.to_string(),
            "CPUPerc": format!("{cpu:.2}%"),
            "MemUsage": format!("{} / {}", output::binary_size(usage.memory_bytes),
                output::binary_size(usage.memory_limit_bytes)),
            "MemPerc": format!("{:.2}%", percent(usage.memory_bytes, usage.memory_limit_bytes)),
            "NetIO": format!("{} / {}", output::size(received), output::size(sent)),
            "BlockIO": format!("{} / {}", output::size(usage.block_read_bytes), output::size(usage.block_written_bytes)),
            "PIDs": usage.pids.to_string(),
            "HostMem": host(&|footprint| footprint.pss_bytes),
            "VMMMem": host(&|footprint| footprint.pss_bytes.saturating_sub(usage.memory_bytes)),
            "SharedMem": host(&Footprint::shared_bytes),
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}
