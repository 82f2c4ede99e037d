//! A container, checked before anything is made.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use holm_protocol::agent::STATE_ANNOTATION;
use nix::sys::personality::Persona;

use super::devices::{self, DeviceNode};
use super::interface::Interfaces;
use super::mounts::MountPlan;
use super::namespaces::Namespaces;
use super::seccomp::Filter;
use super::start_hooks::StartHooks;
use super::sysctl::{self, Parameter};
use super::{ProcessPlan, TerminalSize, mount_options, time};
use crate::fault::{At, Fault};
use crate::oci::{self, NamespaceKind, Resources};

/// Annotation that asks for an init of the agent's own as PID 1 (`--init`).
const INIT_ANNOTATION: &str = "holm.init";

/// `PER_LINUX32` of linux/personality.h.
const PER_LINUX32: Persona = Persona::from_bits_retain(0x8);

/// Longest host and domain name of the kernel in bytes (`__NEW_UTS_LEN`).
const MAX_HOSTNAME_BYTES: usize = 64;

/// Everything about a container but its root file system.
pub(crate) struct ContainerPlan {
    pub(crate) process: ProcessPlan,
    pub(crate) namespaces: Namespaces,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) mounts: Vec<MountPlan>,
    pub(crate) devices: Vec<DeviceNode>,
    pub(crate) masked_paths: Vec<PathBuf>,
    pub(crate) readonly_paths: Vec<PathBuf>,
    pub(crate) sysctl: Vec<Parameter>,
    /// Lines for `/proc/self/timens_offsets`.
    pub(crate) time_offsets: String,
    pub(crate) readonly_root: bool,
    /// `MS_PRIVATE` and so on.
    pub(crate) root_propagation: Option<u64>,
    pub(crate) resources: Resources,
    /// None until the request for the container adds them: the spec does not know them.
    pub(crate) interfaces: Interfaces,
    /// A network namespace that there is already, instead of one that the clone makes.
    pub(crate) network: Option<OwnedFd>,
    /// Namespaces of others, each by a pidfd of a process that is in it: the first one of the container whose it is.
    pub(crate) joined: Vec<(NamespaceKind, OwnedFd)>,
}

impl ContainerPlan {
    /// Reads and checks config.json. `first_of` finds the first process of another container by that one's id, as a pidfd.
    pub(crate) fn parse(
        spec_json: &[u8],
        size: TerminalSize,
        first_of: impl Fn(&str) -> Result<OwnedFd, Fault>,
    ) -> Result<Self, Fault> {
        let spec: oci::Spec = serde_json::from_slice(spec_json).refuse("reading the OCI spec")?;
        let linux = spec.linux;
        let process = spec.process.ok_or_else(|| Fault::invalid("the OCI spec has no process"))?;
        let namespaces = Namespaces::new(&linux)?;
        let joined = linux.namespaces.iter().filter(|namespace| namespaces.joins(namespace.kind));
        let joined = joined.map(|theirs| Ok((theirs.kind, first_of(&theirs.path.to_string_lossy())?)));
        let joined = joined.collect::<Result<_, Fault>>()?;
        let seccomp = linux.seccomp.as_ref().map(Filter::compile).transpose()?;
        let personality = linux.personality.as_ref().map(personality).transpose()?;
        let mut process = ProcessPlan::new(&process, size, seccomp, personality)?;
        process.start_hooks = StartHooks::new(
            &spec.hooks.start_container,
            spec.annotations.get(STATE_ANNOTATION).map(String::as_str),
        )?;
        process.init = spec.annotations.get(INIT_ANNOTATION).is_some_and(|value| value == "true");
        for name in [&spec.hostname, &spec.domainname].into_iter().flatten() {
            if name.len() > MAX_HOSTNAME_BYTES || name.contains('\0') {
                return Err(Fault::invalid(format!("host or domain name {name:?} is too long or malformed")));
            }
        }
        let root_propagation = match linux.rootfs_propagation.as_str() {
            "" => None,
            word => Some(
                mount_options::propagation(word)
                    .ok_or_else(|| Fault::invalid(format!("rootfsPropagation {word:?} is not known")))?,
            ),
        };
        Ok(Self {
            process,
            namespaces,
            hostname: spec.hostname.filter(|name| !name.is_empty()),
            domainname: spec.domainname.filter(|name| !name.is_empty()),
            mounts: spec.mounts.iter().map(MountPlan::new).collect::<Result<_, _>>()?,
            devices: devices::plan(&linux.devices)?,
            masked_paths: linux.masked_paths,
            readonly_paths: linux.readonly_paths,
            sysctl: sysctl::check(&linux.sysctl, |kind| namespaces.has(kind))?,
            time_offsets: time::table(&linux.time_offsets)?,
            readonly_root: spec.root.is_some_and(|root| root.readonly),
            root_propagation,
            resources: linux.resources,
            interfaces: Interfaces::default(),
            network: None,
            joined,
        })
    }
}

fn personality(personality: &oci::Personality) -> Result<Persona, Fault> {
    match personality.domain.as_str() {
        "LINUX" => Ok(Persona::empty()),
        "LINUX32" => Ok(PER_LINUX32),
        other => Err(Fault::invalid(format!("personality {other:?} is not known"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<ContainerPlan, Fault> {
        ContainerPlan::parse(json.as_bytes(), TerminalSize::default(), |id| {
            Err(Fault::not_found(id.to_owned()))
        })
    }

    #[test]
    fn a_spec_becomes_a_plan() {
        let plan = parse(
            r#"{"ociVersion": "1.2.0", "root": {"path": "rootfs", "readonly": true}, "hostname": "box",
                "process": {"args": ["true"], "cwd": "/"}, "annotations": {"holm.init": "true"},
                "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
                "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}], "maskedPaths": ["/proc/kcore"],
                          "sysctl": {"net.ipv4.ip_forward": "1"}, "rootfsPropagation": "rslave"}}"#,
        )
        .unwrap();
        assert!(plan.readonly_root && plan.process.init);
        assert_eq!((plan.mounts.len(), plan.masked_paths.len(), plan.sysctl.len()), (1, 1, 1));
        assert_eq!(plan.root_propagation, Some(libc::MS_SLAVE | libc::MS_REC));
    }

    #[test]
    fn broken_specs_are_refused() {
        let linux = r#""linux": {"namespaces": [{"type": "mount"}]}"#;
        for json in [
            "".to_owned(),
            "{".to_owned(),
            format!("{{{linux}}}"),
            r#"{"process": {"args": ["a"], "cwd": "/"}}"#.to_owned(),
            format!(
                r#"{{"process": {{"args": ["a"], "cwd": "/"}}, "hostname": "{}", {linux}}}"#,
                "x".repeat(65)
            ),
            format!(r#"{{"process": {{"args": "a", "cwd": "/"}}, {linux}}}"#),
        ] {
            assert!(parse(&json).is_err(), "{json}");
        }
    }
}
