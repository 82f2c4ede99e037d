//! `holm system df`: how much of the disk images, containers and volumes take.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::host::disk_usage_bytes;
use serde_json::{Value, json};

use super::df_details;
use crate::format::Format;
use crate::output;

/// Show disk usage
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm system df\n  holm system df -v\n  holm system df --format '{{.Type}}: {{.Size}}'\n\n\
                        Sizes are what the files take on the disk. Fields: .Type .TotalCount .Active .Size .Reclaimable"
)]
pub(crate) struct Df {
    /// Format output using a Go template, 'json' or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
}

const COLUMNS: [(&str, &str); 5] = [
    ("TYPE", "Type"),
    ("TOTAL", "TotalCount"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
];

impl Df {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        if self.verbose {
            df_details::print(&format)?;
        } else {
            format.print(&COLUMNS, &[images()?, containers()?, volumes()?, none("Build Cache")])?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Images that have a container are active; what no such image needs can be reclaimed.
fn images() -> Result<Value> {
    let (store, containers) = (crate::commands::images()?, crate::commands::containers()?);
    let images = store.list()?;
    let used: BTreeSet<String> =
        containers.list()?.into_iter().map(|container| container.record.image_id).collect();
    let active: Vec<_> = images.iter().filter(|image| used.contains(&image.id().to_string())).collect();
    let needed: BTreeSet<_> = active.iter().flat_map(|image| image.layers()).collect();
    let needed_bytes = needed.iter().map(|layer| store.layer_disk_bytes(layer)).sum();
    Ok(row("Images", images.len(), active.len(), store.disk_bytes(), needed_bytes))
}

fn containers() -> Result<Value> {
    let (mut total, mut active, mut bytes, mut needed_bytes) = (0, 0, 0_u64, 0_u64);
    for (container, state) in crate::commands::containers()?.list_states()? {
        let own_bytes = disk_usage_bytes(container.directory());
        total += 1;
        bytes = bytes.saturating_add(own_bytes);
        if state.status.is_active() {
            active += 1;
            needed_bytes = needed_bytes.saturating_add(own_bytes);
        }
    }
    Ok(row("Containers", total, active, bytes, needed_bytes))
}

/// Volumes that a container has are active.
fn volumes() -> Result<Value> {
    let (store, containers) = (crate::commands::volumes()?, crate::commands::containers()?);
    let (mut total, mut active, mut bytes, mut needed_bytes) = (0, 0, 0_u64, 0_u64);
    for volume in store.list()? {
        let own_bytes = disk_usage_bytes(&volume.data());
        total += 1;
        bytes = bytes.saturating_add(own_bytes);
        if !volume.users(&containers)?.is_empty() {
            active += 1;
            needed_bytes = needed_bytes.saturating_add(own_bytes);
        }
    }
    Ok(row("Local Volumes", total, active, bytes, needed_bytes))
}

/// What Holm has none of, which scripts expect.
fn none(kind: &str) -> Value {
    row(kind, 0, 0, 0, 0)
}

fn row(kind: &str, total: usize, active: usize, bytes: u64, needed_bytes: u64) -> Value {
    let free_bytes = if active == 0 { bytes } else { bytes.saturating_sub(needed_bytes) };
    let reclaimable = match free_bytes.saturating_mul(100).checked_div(bytes) {
        Some(percent) => format!("{} ({percent}%)", output::size(free_bytes)),
        None => output::size(0),
    };
    json!({
        "Type": kind,
        "TotalCount": total.to_string(),
        "Active": active.to_string(),
        "Size": output::size(bytes),
        "Reclaimable": reclaimable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_can_be_reclaimed() {
        let reclaimable = |row: Value| row["Reclaimable"].as_str().unwrap().to_owned();
        assert_eq!(reclaimable(row("Images", 2, 1, 1000, 250)), "750B (75%)");
        assert_eq!(reclaimable(row("Images", 1, 0, 1000, 0)), "1kB (100%)");
        assert_eq!(reclaimable(none("Build Cache")), "0B");
    }
}
