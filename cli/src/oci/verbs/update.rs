//! `update`: other limits for a container that runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use holm_runtime::container::settings::SwapLimit;
use holm_runtime::oci::Client;
use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use crate::Global;

/// Set other limits of a running container; those that are not named stay
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// File with the limits as in config.json (linux.resources); - is standard input. The other options are ignored then
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Ignored: disks of the host are not the guest's
    #[arg(long, value_name = "WEIGHT", hide = true)]
    blkio_weight: Option<u16>,
    /// Length of a period, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,
    /// Processor time in each period, in microseconds; -1 for no limit
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// Weight among others
    #[arg(long, value_name = "SHARES")]
    cpu_share: Option<u64>,
    /// The host's processors on which its VM may run
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// The host's memory nodes that its VM may use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Memory, in bytes or with a unit; -1 for no limit
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    memory: Option<SwapLimit>,
    /// Memory that is not taken back while others have some
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    memory_reservation: Option<SwapLimit>,
    /// Memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    memory_swap: Option<SwapLimit>,
    /// Number of processes; -1 for no limit
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// The container's id
    id: String,
}

impl Update {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        let change = match &self.resources {
            Some(path) => read(path)?,
            None => self.limits(),
        };
        Client::of(&super::find(global, &self.id)?).update(&change).context("update failed")?;
        Ok(ExitCode::SUCCESS)
    }

    fn limits(&self) -> LinuxResources {
        let mut change = LinuxResources::default();
        // The default has devices in it, which are no limits.
        change.set_devices(None);
        let mut memory = LinuxMemory::default();
        memory
            .set_limit(self.memory.map(SwapLimit::bytes))
            .set_reservation(self.memory_reservation.map(SwapLimit::bytes))
            .set_swap(self.memory_swap.map(SwapLimit::bytes));
        let mut cpu = LinuxCpu::default();
        cpu.set_period(self.cpu_period).set_quota(self.cpu_quota).set_shares(self.cpu_share);
        cpu.set_cpus(self.cpuset_cpus.clone()).set_mems(self.cpuset_mems.clone());
        let pids = self.pids_limit.map(|limit| {
            let mut pids = LinuxPids::default();
            pids.set_limit(limit);
            pids
        });
        change.set_memory(Some(memory)).set_cpu(Some(cpu)).set_pids(pids);
        change
    }
}

fn read(path: &Path) -> Result<LinuxResources> {
    let failed = || format!("cannot read {}", path.display());
    let json = match path.to_str() {
        Some("-") => io::read_to_string(io::stdin()).context("cannot read standard input")?,
        _ => fs::read_to_string(path).with_context(failed)?,
    };
    serde_json::from_str(&json).with_context(|| format!("{} has no limits as in config.json", path.display()))
}
