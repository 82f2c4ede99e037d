//! `holm info`: the engine, what it has, and the host that it runs on, in Docker's words.

use std::fs;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use clap::Args;
use holm_runtime::container::Status;
use holm_runtime::host::{Directories, Installation, is_rootless};
use holm_runtime::registry::RegistryConfig;
use nix::sys::sysinfo::sysinfo;
use nix::sys::utsname::uname;
use serde_json::{Value, json};

use crate::format::Line;
use crate::output;

/// Display system-wide information
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm info\n  holm info --format '{{.ContainersRunning}} of {{.Containers}} run'"
)]
pub(crate) struct Info {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Info {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let facts = facts()?;
        match self.format.as_deref() {
            None => output::line(&text(&facts)),
            Some("json") => output::line(&facts.to_string()),
            Some(template) => output::line(&Line::parse(template)?.render(&facts)?),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// By Docker's names, and `GuestKernelVersion`.
fn facts() -> Result<Value> {
    let directories = Directories::from_environment();
    let (mut running, mut paused, mut stopped) = (0, 0, 0);
    for (_, state) in crate::commands::containers()?.list_states()? {
        match state.status {
            Status::Running | Status::Restarting => running += 1,
            Status::Paused => paused += 1,
            Status::Created | Status::Exited | Status::Removing | Status::Dead => stopped += 1,
        }
    }
    let host = uname().context("cannot ask the host's kernel who it is")?;
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let registries = RegistryConfig::from_environment()?;
    let mirrors = registries.registry.get("docker.io").map(|registry| registry.mirrors.clone());
    let insecure = registries.registry.iter().filter(|(_, registry)| registry.insecure);
    Ok(json!({
        "Containers": running + paused + stopped,
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": stopped,
        "Images": crate::commands::images()?.list()?.len(),
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Driver": "erofs+ext4",
        "LoggingDriver": "json-file",
        "Plugins": { "Log": ["journald", "json-file", "none"] },
        "CgroupDriver": "none",
        "CgroupVersion": "2",
        "Runtimes": { "holm": {} },
        "DefaultRuntime": "holm",
        "SecurityOptions": security_options(),
        "KernelVersion": text(host.release()),
        "GuestKernelVersion": Installation::find()?.kernel_release().unwrap_or_else(|| "unknown".to_owned()),
        "OperatingSystem": operating_system(),
        "OSType": "linux",
        "Architecture": text(host.machine()),
        "NCPU": thread::available_parallelism().map_or(1, NonZero::get),
        "MemTotal": sysinfo().context("cannot ask for the host's memory")?.ram_total(),
        "Name": text(host.nodename()),
        "DockerRootDir": directories.root(),
        "IndexServerAddress": registries.default_registry.as_deref().unwrap_or("docker.io"),
        "RegistryConfig": {
            "Mirrors": mirrors.unwrap_or_default(),
            "InsecureRegistries": insecure.map(|(name, _)| name.clone()).collect::<Vec<_>>(),
        },
    }))
}

fn security_options() -> Vec<&'static str> {
    let rootless = is_rootless().then_some("name=rootless");
    ["name=microvm", "name=seccomp,profile=builtin", "name=cgroupns"].into_iter().chain(rootless).collect()
}

/// `PRETTY_NAME` of os-release(5).
fn operating_system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| output::printable(name.trim_matches(['"', '\''])))
}

/// The facts for people, one on a line, Docker's labels.
fn text(facts: &Value) -> String {
    let mut lines = Vec::new();
    for (label, name) in LINES {
        let value = facts.pointer(name).cloned().unwrap_or_default();
        let value = match (*name, &value) {
            ("/MemTotal", bytes) => output::binary_size(bytes.as_u64().unwrap_or(0)),
            (_, Value::String(text)) => text.clone(),
            (_, Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            (_, other) => other.to_string(),
        };
        lines.push(format!("{label}: {value}"));
    }
    lines.join("\n")
}

const LINES: &[(&str, &str)] = &[
    ("Containers", "/Containers"),
    (" Running", "/ContainersRunning"),
    (" Paused", "/ContainersPaused"),
    (" Stopped", "/ContainersStopped"),
    ("Images", "/Images"),
    ("Server Version", "/ServerVersion"),
    ("Storage Driver", "/Driver"),
    ("Logging Driver", "/LoggingDriver"),
    ("Plugins Log", "/Plugins/Log"),
    ("Default Runtime", "/DefaultRuntime"),
    ("Security Options", "/SecurityOptions"),
    ("Kernel Version", "/KernelVersion"),
    ("Guest Kernel Version", "/GuestKernelVersion"),
    ("Operating System", "/OperatingSystem"),
    ("OSType", "/OSType"),
    ("Architecture", "/Architecture"),
    ("CPUs", "/NCPU"),
    ("Total Memory", "/MemTotal"),
    ("Name", "/Name"),
    ("Holm Root Dir", "/DockerRootDir"),
    ("Registry", "/IndexServerAddress"),
    ("Registry Mirrors", "/RegistryConfig/Mirrors"),
    ("Insecure Registries", "/RegistryConfig/InsecureRegistries"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_lines() {
        let facts =
            json!({ "Containers": 2, "MemTotal": 4_u64 << 30, "RegistryConfig": { "Mirrors": ["a", "b"] } });
        let text = text(&facts);
        assert!(text.starts_with("Containers: 2\n Running: null\n"), "{text}");
        assert!(text.contains("Total Memory: 4GiB\n") && text.contains("Registry Mirrors: a b\n"), "{text}");
    }
}
