//! `holm update`: change what can be changed of containers: the restart policy.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::container::Container;
use holm_runtime::container::settings::RestartPolicy;

/// Update configuration of one or more containers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm update --restart unless-stopped web\n\n\
                        Limits cannot be changed yet: make the container again with other ones.")]
pub(crate) struct Update {
    #[command(flatten)]
    limits: Limits,
    /// Restart policy to apply when a container exits (no, always, on-failure[:max-retries], unless-stopped)
    #[arg(long, value_name = "POLICY")]
    restart: Option<RestartPolicy>,
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Docker's other flags.
#[derive(Debug, Args)]
struct Limits {
    /// Block IO weight (cannot be changed yet)
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<String>,
    /// CPU CFS period (cannot be changed yet)
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<String>,
    /// CPU CFS quota (cannot be changed yet)
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_quota: Option<String>,
    /// CPU shares (cannot be changed yet)
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<String>,
    /// Number of CPUs (cannot be changed yet)
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,
    /// CPUs in which to allow execution (cannot be changed yet)
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory limit (cannot be changed yet)
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Memory soft limit (cannot be changed yet)
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<String>,
    /// Memory and swap limit (cannot be changed yet)
    #[arg(long, value_name = "BYTES")]
    memory_swap: Option<String>,
    /// Limit of processes (cannot be changed yet)
    #[arg(long, value_name = "NUMBER")]
    pids_limit: Option<String>,
}

impl Update {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if let Some(flag) = self.limits.first() {
            bail!("--{flag} cannot be changed yet: make the container again with another one");
        }
        let Some(policy) = self.restart else {
            bail!("you must provide one or more flags when using this command");
        };
        let store = super::containers()?;
        super::each(&self.containers, |name| update(&store.find(name)?, policy))
    }
}

fn update(container: &Container, policy: RestartPolicy) -> Result<()> {
    if container.record.settings.auto_remove && policy != RestartPolicy::No {
        bail!(
            "cannot update container {}: restart policy cannot be updated because --rm is set",
            container.name
        );
    }
    Ok(container.set_restart_policy(policy)?)
}

impl Limits {
    /// The first flag that was given.
    fn first(&self) -> Option<&'static str> {
        let given = [
            ("blkio-weight", &self.blkio_weight),
            ("cpu-period", &self.cpu_period),
            ("cpu-quota", &self.cpu_quota),
            ("cpu-shares", &self.cpu_shares),
            ("cpus", &self.cpus),
            ("cpuset-cpus", &self.cpuset_cpus),
            ("memory", &self.memory),
            ("memory-reservation", &self.memory_reservation),
            ("memory-swap", &self.memory_swap),
            ("pids-limit", &self.pids_limit),
        ];
        given.into_iter().find(|(_, value)| value.is_some()).map(|(flag, _)| flag)
    }
}
