//! What the figures were measured on.

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

/// The host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    cpu: String,
    cpus: usize,
    memory_mib: u64,
    kernel: String,
    /// `lab` for the emulated host, where times are an emulator's and only ratios mean something.
    host: String,
}

/// Looks at this host.
pub(crate) fn describe() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split(':').nth(1)?.trim().to_owned())
    };
    let kib = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .unwrap_or(0);
    Machine {
        cpu: value(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        memory_mib: kib / 1024,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        host: std::env::var("HOLM_TEST_HOST").unwrap_or_else(|_| "direct".to_owned()),
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cpus, memory_mib, kernel, host } = self;
        write!(f, "{cpu}, {cpus} CPUs, {memory_mib} MiB, Linux {kernel} ({host})")
    }
}
