//! `holm volume ...`: directories that outlive containers.

mod create;
mod inspect;
mod ls;
mod rm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use holm_runtime::volume::{Volume, VolumeDriver};
use serde_json::{Value, json};

use super::prune;

/// Manage volumes
#[derive(Debug, Args)]
pub(crate) struct VolumeGroup {
    #[command(subcommand)]
    verb: VolumeVerb,
}

#[derive(Debug, Subcommand)]
enum VolumeVerb {
    Create(create::CreateVolume),
    Inspect(inspect::InspectVolumes),
    #[command(visible_alias = "list")]
    Ls(ls::ListVolumes),
    Prune(prune::volumes::PruneVolumes),
    #[command(visible_alias = "remove")]
    Rm(rm::RemoveVolumes),
}

impl VolumeGroup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.verb {
            VolumeVerb::Create(verb) => verb.run(),
            VolumeVerb::Inspect(verb) => verb.run(),
            VolumeVerb::Ls(verb) => verb.run(),
            VolumeVerb::Prune(verb) => verb.run(),
            VolumeVerb::Rm(verb) => verb.run(),
        }
    }
}

/// A volume with Docker's field names.
pub(super) fn describe(volume: &Volume) -> Result<Value> {
    let options = match volume.record.driver {
        VolumeDriver::Local => json!({}),
        VolumeDriver::Block(size) => json!({ "size": size.bytes().to_string() }),
    };
    Ok(json!({
        "CreatedAt": serde_json::to_value(&volume.record)?.get("CreatedAt"),
        "Driver": volume.record.driver.name(),
        "Labels": volume.record.labels,
        "Mountpoint": volume.data(),
        "Name": volume.name.to_string(),
        "Options": options,
        "Scope": "local",
    }))
}
