//! A container as `docker inspect` shows it: the field names that scripts know (M25).

use std::num::NonZeroU64;
use std::path::PathBuf;

use anyhow::Result;
use holm_runtime::bundle;
use holm_runtime::container::settings::{
    CpuPeriod, CpuQuota, CpuShares, LogDriver, Mount, MountKind, NetworkRate, Settings,
};
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::image::ImageStore;
use holm_runtime::sandbox::{Confinement, VmShape};
use holm_runtime::volume::Volume;
use serde_json::{Map, Value, json};

use crate::published;

/// Docker's for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What of the host it sees, with Docker's names.
fn mounts(container: &Container) -> Result<Vec<Value>> {
    let volumes = super::volumes()?;
    let describe = |mount: &Mount| {
        let (kind, name, source, driver) = match &mount.kind {
            MountKind::Bind { source } => ("bind", None, source.clone(), None),
            MountKind::Volume { name, .. } => {
                let found = volumes.find(name.as_str()).ok();
                let data = found.as_ref().map(Volume::data).unwrap_or_default();
                let driver = found.map_or("local", |volume| volume.record.driver.name());
                ("volume", Some(name.as_str()), data, Some(driver))
            }
        };
        let mut fields = json!({
            "Type": kind,
            "Source": source,
            "Destination": mount.destination,
            "Mode": if mount.read_only { "ro" } else { "" },
            "RW": !mount.read_only,
            "Propagation": if kind == "bind" { "rprivate" } else { "" },
        });
        if let (Some(fields), Some(name), Some(driver)) = (fields.as_object_mut(), name, driver) {
            fields.insert("Name".to_owned(), name.into());
            fields.insert("Driver".to_owned(), driver.into());
        }
        fields
    };
    Ok(container.record.settings.mounts.iter().map(describe).collect())
}

/// The same in the form of `-v`.
fn binds(container: &Container) -> Vec<String> {
    let form = |mount: &Mount| {
        let source = match &mount.kind {
            MountKind::Bind { source } => source.display().to_string(),
            MountKind::Volume { name, .. } => name.to_string(),
        };
        format!("{source}:{}:{}", mount.destination, if mount.read_only { "ro" } else { "rw" })
    };
    container.record.settings.mounts.iter().map(form).collect()
}

/// What was asked of the engine, with Docker's names.
fn host_config(container: &Container, settings: &Settings) -> Value {
    let limits = &settings.limits;
    let pairs = |pairs: Vec<(String, String)>| -> Map<String, Value> {
        pairs.into_iter().map(|(name, value)| (name, value.into())).collect()
    };
    json!({
        "Annotations": settings.annotations,
        "AutoRemove": settings.auto_remove,
        "Binds": binds(container),
        "BlkioDeviceReadBps": settings.device_rates.read_bps,
        "BlkioDeviceReadIOps": settings.device_rates.read_iops,
        "BlkioDeviceWriteBps": settings.device_rates.write_bps,
        "BlkioDeviceWriteIOps": settings.device_rates.write_iops,
        "CapAdd": settings.cap_add,
        "CapDrop": settings.cap_drop,
        "Devices": settings.devices,
        "GroupAdd": settings.group_add,
        "Init": settings.init,
        "LogConfig": settings.log_config,
        "Memory": limits.memory.map_or(0, |memory| memory.bytes()),
        "MemoryReservation": limits.memory_reservation.map_or(0, |memory| memory.bytes()),
        "MemorySwap": limits.memory_swap.map_or(0, |swap| swap.bytes()),
        "CpuShares": limits.cpu_shares.map_or(0, CpuShares::shares),
        "CpuPeriod": limits.cpu_period.map_or(0, CpuPeriod::us),
        "CpuQuota": limits.cpu_quota.map_or(0, CpuQuota::us),
        "CpusetCpus": limits.cpuset_cpus.as_ref().map(ToString::to_string).unwrap_or_default(),
        "PidsLimit": limits.pids_limit,
        "ShmSize": settings.shm_size.bytes(),
        "NanoCpus": limits.cpus.map_or(0, |cpus| cpus.nano()),
        "NetworkMode": settings.network.to_string(),
        "NetRateIn": settings.net_rate_in.and_then(NetworkRate::bytes_per_s).map_or(0, NonZeroU64::get),
        "NetRateOut": settings.net_rate_out.and_then(NetworkRate::bytes_per_s).map_or(0, NonZeroU64::get),
        "PortBindings": published::port_bindings(container),
        "Dns": settings.dns,
        "DnsSearch": settings.dns_search,
        "DnsOptions": settings.dns_options,
        "ExtraHosts": settings.extra_hosts.iter().map(|host| {
            let address = host.address.map_or_else(|| "host-gateway".to_owned(), |ip| ip.to_string());
            format!("{}:{address}", host.name)
        }).collect::<Vec<_>>(),
        "OomScoreAdj": settings.oom_score_adj.unwrap_or(0),
        "Privileged": settings.privileged,
        "ReadonlyRootfs": settings.read_only_rootfs,
        "RestartPolicy": {
            "Name": settings.restart.name(),
            "MaximumRetryCount": settings.restart.maximum_retry_count(),
        },
        "Runtime": "holm",
        "SecurityOpt": if settings.no_new_privileges { vec!["no-new-privileges"] } else { vec![] },
        "StorageOpt": {"size": settings.layer_size.bytes().to_string()},
        "Sysctls": pairs(settings.sysctls.iter().map(|s| (s.name.clone(), s.value.clone())).collect()),
        "Tmpfs": pairs(settings.tmpfs.iter().map(|t| (t.destination.clone(), t.options.join(","))).collect()),
        "Ulimits": settings.ulimits,
    })
}

pub(super) fn inspect(store: &ContainerStore, container: &Container, images: &ImageStore) -> Result<Value> {
    let (record, state) = (&container.record, container.state()?);
    let settings = &container.settings()?;
    let hostname = record.hostname(&container.id);
    // Image and settings combined, as the guest gets them; an image that is damaged hides only what comes from it.
    let image = images.resolve(&record.image_id).ok();
    let process = image
        .as_ref()
        .and_then(|image| bundle::build(image.config(), settings, &hostname).ok())
        .and_then(|bundle| bundle.spec.process().clone());
    let arguments = process.as_ref().and_then(|p| p.args().clone()).unwrap_or_default();
    let image_config = image.as_ref().and_then(|image| image.config().config().clone()).unwrap_or_default();
    // That of the VM that runs, or else of the next one.
    let shape = match (state.vm_cpus, state.vm_memory_mib) {
        (0, _) => VmShape::for_settings(settings),
        (vcpus, memory_mib) => VmShape { vcpus, memory_mib },
    };
    let is = |status: &str| state.status.to_string() == status;
    let time = |name: &str| -> Result<Value> {
        let state = serde_json::to_value(&state)?;
        Ok(state.get(name).filter(|time| !time.is_null()).cloned().unwrap_or_else(|| NEVER.into()))
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
        "Mounts": mounts(container)?,
        "Config": {
            "Hostname": hostname,
            "Domainname": settings.domainname.as_deref().unwrap_or_default(),
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
        "HostConfig": host_config(container, settings),
        "NetworkSettings": published::network_settings(store, container, state.status.is_active()),
        "Vm": {"Vcpus": shape.vcpus, "MemoryMiB": shape.memory_mib},
    });
    // Once it has ended, its number may be another process's.
    let jail = state.status.is_active().then(|| Confinement::of(state.pid).ok()).flatten();
    // As in Docker, not there at all where nobody asks for it.
    for (pointer, name, value) in [
        ("/State", "Health", container.health().map(serde_json::to_value)),
        ("/Vm", "Jail", jail.map(serde_json::to_value)),
        ("/Config", "Healthcheck", settings.healthcheck.as_ref().map(serde_json::to_value)),
    ] {
        if let (Some(Value::Object(fields)), Some(value)) = (found.pointer_mut(pointer), value) {
            fields.insert(name.to_owned(), value?);
        }
    }
    Ok(found)
}
