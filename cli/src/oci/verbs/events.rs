//! `events`: what a container uses, again and again or once, as runc prints it.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::settings::parse_health_time;
use holm_runtime::oci::{Client, OciError};
use holm_runtime::sandbox::Usage;
use serde_json::{Value, json};

use crate::Global;

/// Print what a container uses, as its guest counts it
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Time between two lines
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_health_time)]
    interval: u64,
    /// One line only
    #[arg(long)]
    stats: bool,
    /// The container's id
    id: String,
}

impl Events {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        let container = super::find(global, &self.id)?;
        let client = Client::of(&container);
        let mut usage = client.usage()?;
        loop {
            holm_cli::output::line(&event(&self.id, &usage).to_string());
            if self.stats {
                break;
            }
            sleep(Duration::from_nanos(self.interval));
            usage = match client.usage() {
                Ok(usage) => usage,
                // It has ended.
                Err(OciError::NotRunning | OciError::Died) => break,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// runc's fields, as far as they are known.
fn event(id: &str, usage: &Usage) -> Value {
    let moved = |op: &str, bytes: u64| json!({"major": 0, "minor": 0, "op": op, "value": bytes});
    json!({
        "type": "stats",
        "id": id,
        "data": {
            "cpu": {"usage": {"total": usage.cpu_time_us.saturating_mul(1000)}},
            "memory": {"usage": {"limit": usage.memory_limit_bytes, "usage": usage.memory_bytes}},
            "pids": {"current": usage.pids},
            "blkio": {
                "ioServiceBytesRecursive": [
                    moved("Read", usage.block_read_bytes), moved("Write", usage.block_written_bytes)
                ]
            }
        }
    })
}
