//! A container that runs until the value goes.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context, Result};

use crate::containers::{Holm, succeed};
use crate::shell::Shell;

/// Longer than any figure takes.
const SLEEP: [&str; 2] = ["sleep", "100000"];

/// A container that sleeps.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    holm: &'a Holm,
    id: String,
    address: IpAddr,
}

impl<'a> Container<'a> {
    /// Starts it.
    pub(crate) fn start(holm: &'a Holm, options: &[&str], image: &str) -> Result<Self> {
        let mut command = holm.command(["run", "-d"]);
        let id = succeed(command.args(options).arg(image).args(SLEEP))?;
        // Removed from here on, whatever happens.
        let mut container = Self { holm, id, address: [0, 0, 0, 0].into() };
        container.address = container.inspect("{{.NetworkSettings.IPAddress}}")?.parse()?;
        Ok(container)
    }

    /// Its VMM.
    pub(crate) fn vmm_pid(&self) -> Result<u32> {
        self.inspect("{{.State.Pid}}")?.parse().context("State.Pid")
    }

    /// Its supervisor and all that this one has started.
    pub(crate) fn processes(&self) -> Result<Vec<u32>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.vmm_pid()?))?;
        let supervisor = status.lines().find_map(|line| line.strip_prefix("PPid:")).context("PPid")?.trim();
        let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"))?;
        let pids = std::iter::once(supervisor).chain(children.split_whitespace());
        pids.map(|pid| pid.parse().context("a process id")).collect()
    }

    fn inspect(&self, what: &str) -> Result<String> {
        succeed(&mut self.holm.command(["inspect", "-f", what, &self.id]))
    }
}

impl Shell for Container<'_> {
    fn sh(&self, script: &str) -> Result<String> {
        succeed(&mut self.holm.command(["exec", &self.id, "sh", "-c", script]))
    }

    fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Err(error) = succeed(&mut self.holm.command(["rm", "-f", &self.id])) {
            eprintln!("a container stays: {error:#}");
        }
    }
}
