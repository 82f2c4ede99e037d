//! A container as `docker inspect` shows it: the field names that scripts know (M25).

use std::path::PathBuf;

use anyhow::Result;
use holm_runtime::bundle;
use holm_runtime::container::Container;
use holm_runtime::container::settings::LogDriver;
use holm_runtime::image::ImageStore;
use holm_runtime::sandbox::VmShape;
use serde_json::{Map, Value, json};

/// Docker's for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) fn inspect(container: &Container, images: &ImageStore) -> Result<Value> {
    let (record, state) = (&container.record, container.state()?);
    let settings = &record.settings;
    let hostname = record.hostname(&container.id);
    // Image and settings combined, as the guest gets them; an image that is damaged hides only what comes from it.
    let image = images.resolve(&record.image_id).ok();
    let process = image
        .as_ref()
        .and_then(|image| bundle::build(image.config(), settings, &hostname).ok())
        .and_then(|bundle| bundle.spec.process().clone());
    let arguments = process.as_ref().and_then(|p| p.args().clone()).unwrap_or_default();
    let image_config = image.as_ref().and_then(|image| image.config().config().clone()).unwrap_or_default();
    let shape = VmShape::for_settings(settings);
    let is = |status: &str| state.status.to_string() == status;
    let time = |name: &str| -> Result<Value> {
        let state = serde_json::to_value(&state)?;
        Ok(state.get(name).filter(|time| !time.is_null()).cloned().unwrap_or_else(|| NEVER.into()))
    };
    let pairs = |pairs: Vec<(String, String)>| -> Map<String, Value> {
        pairs.into_iter().map(|(name, value)| (name, value.into())).collect()
    };
    let log = settings.log_config.driver() == LogDriver::JsonFile;
    let mut found = json!({
        "Id": container.id,
        "Created": serde_json::to_value(record)?.get("Created"),
        "Path": arguments.first().cloned().unwrap_or_default(),
        "Args": arguments.get(1..).unwrap_or_default(),
        "State": {
            "Status": state.status,
            "Running": state.status.is_active(),
            "Paused": is("paused"),
            "Restarting": is("restarting"),
            "OOMKilled": state.oom_killed,
            "Dead": is("dead"),
            "Pid": state.pid,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": time("StartedAt")?,
            "FinishedAt": time("FinishedAt")?,
        },
        "Image": record.image_id,
        "LogPath": if log { container.log() } else { PathBuf::new() },
        "Name": format!("/{}", container.name),
        "RestartCount": state.restart_count,
        "Platform": "linux",
        "Mounts": [],
        "Config": {
            "Hostname": hostname,
            "User": settings.user.clone().or_else(|| image_config.user().clone()).unwrap_or_default(),
            "Tty": settings.tty,
            "OpenStdin": settings.open_stdin,
            "Env": process.as_ref().and_then(|p| p.env().clone()).unwrap_or_default(),
            "Cmd": if settings.cmd.is_empty() { image_config.cmd().clone() } else { Some(settings.cmd.clone()) },
            "Entrypoint": match &settings.entrypoint {
                Some(entrypoint) => Some(vec![entrypoint.clone()]),
                None => image_config.entrypoint().clone(),
            },
            "Image": record.image,
            "WorkingDir": process.as_ref().map(|p| p.cwd().clone()),
            "Labels": settings.labels,
            "StopSignal": settings.stop_signal.map(|signal| signal.to_string())
                .or_else(|| image_config.stop_signal().clone()),
            "StopTimeout": settings.stop_timeout_s,
        },
        "HostConfig": {
            "Annotations": settings.annotations,
            "AutoRemove": settings.auto_remove,
            "CapAdd": settings.cap_add,
            "CapDrop": settings.cap_drop,
            "Init": settings.init,
            "LogConfig": settings.log_config,
            "Memory": settings.memory.map_or(0, |memory| memory.bytes()),
            "NanoCpus": settings.cpus.map_or(0, |cpus| cpus.nano()),
            "NetworkMode": "none",
            "Privileged": settings.privileged,
            "ReadonlyRootfs": settings.read_only_rootfs,
            "RestartPolicy": {
                "Name": container.restart_policy().name(),
                "MaximumRetryCount": container.restart_policy().maximum_retry_count(),
            },
            "Runtime": "holm",
            "SecurityOpt": if settings.no_new_privileges { vec!["no-new-privileges"] } else { vec![] },
            "StorageOpt": {"size": settings.layer_size.bytes().to_string()},
            "Sysctls": pairs(settings.sysctls.iter().map(|s| (s.name.clone(), s.value.clone())).collect()),
            "Tmpfs": pairs(settings.tmpfs.iter().map(|t| (t.destination.clone(), t.options.join(","))).collect()),
            "Ulimits": settings.ulimits,
        },
        "NetworkSettings": {"Networks": {}, "Ports": {}},
        "Vm": {"Vcpus": shape.vcpus, "MemoryMiB": shape.memory_mib},
    });
    // As in Docker, not there at all where nobody asks for it.
    for (pointer, name, value) in [
        ("/State", "Health", container.health().map(serde_json::to_value)),
        ("/Config", "Healthcheck", settings.healthcheck.as_ref().map(serde_json::to_value)),
    ] {
        if let (Some(Value::Object(fields)), Some(value)) = (found.pointer_mut(pointer), value) {
            fields.insert(name.to_owned(), value?);
        }
    }
    Ok(found)
}
