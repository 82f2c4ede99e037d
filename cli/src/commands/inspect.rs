//! `holm inspect`: an image or a container as JSON with Docker's field names.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::container::settings::LogDriver;
use holm_runtime::container::{Container, ContainerError, ContainerStore};
use holm_runtime::image::{Image, ImageError, ImageStore};
use holm_runtime::sandbox::VmShape;
use serde_json::{Value, json};

use crate::output;

/// Return low-level information on images and containers
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Names or IDs
    #[arg(required = true, value_name = "NAME|ID")]
    names: Vec<String>,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (containers, images) = (super::containers()?, super::images()?);
        let found: Result<Vec<Value>> =
            self.names.iter().map(|name| inspect(name, &containers, &images)).collect();
        output::line(&serde_json::to_string_pretty(&found?)?);
        Ok(ExitCode::SUCCESS)
    }
}

fn inspect(name: &str, containers: &ContainerStore, images: &ImageStore) -> Result<Value> {
    match containers.find(name) {
        Ok(found) => return container(&found),
        Err(ContainerError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    match images.resolve(name) {
        Ok(found) => image(&found),
        Err(ImageError::NotFound(_)) => bail!("no such object: {name}"),
        Err(error) => Err(error.into()),
    }
}

fn image(image: &Image) -> Result<Value> {
    // Passed through whole: it knows more than the image-spec does.
    let config: Value = serde_json::from_slice(image.config_json())?;
    let field = |name: &str| config.get(name).cloned().unwrap_or(Value::Null);
    let text = |name: &str| field(name).as_str().unwrap_or_default().to_owned();
    let tags: Vec<String> =
        image.names().iter().filter(|n| n.tag().is_some()).map(|n| n.familiar()).collect();
    let digests: Vec<String> = image
        .manifest()
        .iter()
        .flat_map(|digest| image.names().iter().map(move |n| format!("{}@{digest}", n.familiar_repository())))
        .collect();
    let layers: Vec<String> = image.layers().iter().map(ToString::to_string).collect();
    Ok(json!({
        "Id": image.id().to_string(),
        "RepoTags": tags,
        "RepoDigests": digests,
        "Comment": text("comment"),
        "Created": text("created"),
        "Author": text("author"),
        "Config": field("config"),
        "Architecture": text("architecture"),
        "Os": text("os"),
        "Size": image.size_bytes(),
        "RootFS": {"Type": "layers", "Layers": layers},
    }))
}

fn container(container: &Container) -> Result<Value> {
    let (record, state) = (&container.record, container.state()?);
    let log_config = &record.settings.log_config;
    let shape = VmShape::for_settings(&record.settings);
    let is = |status: &str| state.status.to_string() == status;
    Ok(json!({
        "Id": container.id,
        "Created": serde_json::to_value(record)?.get("Created"),
        "Name": format!("/{}", container.name),
        "RestartCount": state.restart_count,
        "Image": record.image_id,
        "LogPath": if log_config.driver() == LogDriver::JsonFile { container.log() } else { PathBuf::new() },
        "State": {
            "Status": state.status,
            "Running": state.status.is_active(),
            "Paused": is("paused"),
            "Restarting": is("restarting"),
            "OOMKilled": state.oom_killed,
            "Dead": false,
            "Pid": state.pid,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": serde_json::to_value(&state)?.get("StartedAt"),
            "FinishedAt": serde_json::to_value(&state)?.get("FinishedAt"),
        },
        "Config": {"Image": record.image, "Hostname": record.hostname(&container.id)},
        "HostConfig": {"LogConfig": log_config},
        "Settings": record.settings,
        "Vm": {"Vcpus": shape.vcpus, "MemoryMiB": shape.memory_mib},
    }))
}
