//! A bundle: config.json and a root file system, as an engine prepared it; and what of it a VM cannot give.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use holm_protocol::agent::SHARED_MEMORY;
use oci_spec::runtime::{
    Hook, Linux, LinuxDevice, LinuxDeviceType, LinuxNamespaceType, LinuxResources, Mount, Process, Spec,
};

use super::cgroup::{self, CgroupForm};
use super::error::OciError;
use super::hooks;
use super::id::OciId;
use super::mounts;
use super::namespaces::NetworkNamespace;
use super::process::{without_impossible_ambient, without_unknown_capabilities};
use super::role::{GuestNamespace, HostNamespace, Role, pid_in, sandbox_id};
use super::root::{Root, RootDevice};
use crate::container::settings;
use crate::sandbox::VmShape;
use crate::volume::Shares;

/// Namespaces that a guest gives; without one of its own, a container would be in the host's.
const NEEDED: [(LinuxNamespaceType, &str); 5] = [
    (LinuxNamespaceType::Pid, "the host's processes (no pid namespace of its own)"),
    (LinuxNamespaceType::Network, "the host's network (no network namespace of its own)"),
    (LinuxNamespaceType::Ipc, "the host's System V IPC (no ipc namespace of its own)"),
    (LinuxNamespaceType::Uts, "the host's name (no uts namespace of its own)"),
    (LinuxNamespaceType::Mount, "the host's mounts (no mount namespace of its own)"),
];

/// A bundle that can be run in a VM.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// config.json.
    pub spec: Spec,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
    /// How the guest gets it.
    pub(super) root: Root,
}

/// What a bundle means for the guest.
#[derive(Debug)]
pub(super) struct GuestBundle {
    /// Without what is done on the host.
    pub(super) spec: Spec,
    /// The host's files for it; the first is the root, if that is a directory.
    pub(super) shares: Shares,
    /// Where the guest finds that.
    pub(super) root: String,
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// It is not as the spec says, or asks for what a VM cannot give.
    pub fn load(path: &Path) -> Result<Self, OciError> {
        Self::load_on(path, None)
    }

    /// Reads a bundle whose root file system is on this device, if there is one.
    pub(super) fn load_on(path: &Path, device: Option<&RootDevice>) -> Result<Self, OciError> {
        let (path, spec) = read_spec(path)?;
        let bundle = Self::of(path, spec, device)?;
        if !bundle.rootfs.is_dir() {
            return Err(OciError::Bundle(format!("rootfs ({}) does not exist", bundle.rootfs.display())));
        }
        Ok(bundle)
    }

    fn of(path: PathBuf, spec: Spec, device: Option<&RootDevice>) -> Result<Self, OciError> {
        let root =
            spec.root().as_ref().ok_or_else(|| OciError::Bundle("the bundle has no root".to_owned()))?;
        let rootfs = path.join(root.path());
        let bundle = Self { root: Root::of(&spec, device)?, path, rootfs, spec };
        bundle.check()?;
        Ok(bundle)
    }

    /// The container's first process.
    ///
    /// # Errors
    /// There is none.
    pub fn process(&self) -> Result<&Process, OciError> {
        self.spec
            .process()
            .as_ref()
            .ok_or_else(|| OciError::Bundle("process must be set in config.json".to_owned()))
    }

    /// Whether that process has a terminal.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.spec.process().as_ref().and_then(Process::terminal).unwrap_or(false)
    }

    /// Columns and rows that the terminal begins with.
    pub(super) fn console_size(&self) -> Option<(u16, u16)> {
        let size = self.spec.process().as_ref()?.console_size()?;
        Some((size.width().try_into().ok()?, size.height().try_into().ok()?))
    }

    /// Hooks of one kind.
    pub(super) fn hooks(
        &self,
        kind: impl FnOnce(&oci_spec::runtime::Hooks) -> &Option<Vec<Hook>>,
    ) -> &[Hook] {
        self.spec.hooks().as_ref().and_then(|hooks| kind(hooks).as_deref()).unwrap_or_default()
    }

    /// The size of its VM; of a container in another's, that which it would have alone.
    pub(super) fn shape(&self, role: &Role) -> VmShape {
        match role {
            Role::Sandbox => VmShape::for_pod(),
            Role::Alone | Role::Member(_) => VmShape::for_resources(self.resources()),
        }
    }

    /// The limits of its cgroup on the host. A pod has none of its own there: its VM is all of its containers', whose limits hold in the
    /// guest, and what is in the cgroups of the others only carries their streams.
    pub(super) fn hosts_resources(&self, role: &Role) -> Option<&LinuxResources> {
        self.resources().filter(|_| *role == Role::Alone)
    }

    /// Where its cgroup is on the host.
    pub(super) fn cgroup(&self, id: &OciId, form: CgroupForm) -> Result<Option<PathBuf>, OciError> {
        let path = self.linux().and_then(|linux| linux.cgroups_path().as_deref());
        cgroup::place(path.filter(|path| !path.as_os_str().is_empty()), id.as_str(), form)
    }

    /// Its limits.
    pub(super) fn resources(&self) -> Option<&LinuxResources> {
        self.linux()?.resources().as_ref()
    }

    /// Where its network is.
    pub(super) fn network(&self) -> NetworkNamespace {
        let path = self.namespace(LinuxNamespaceType::Network).flatten();
        path.map_or(NetworkNamespace::New, NetworkNamespace::Join)
    }

    fn linux(&self) -> Option<&Linux> {
        self.spec.linux().as_ref()
    }

    /// Whether there is one of this kind, and its path.
    fn namespace(&self, kind: LinuxNamespaceType) -> Option<Option<PathBuf>> {
        let all = self.linux()?.namespaces().as_deref()?;
        let found = all.iter().find(|namespace| namespace.typ() == kind)?;
        Some(found.path().clone().filter(|path| !path.as_os_str().is_empty()))
    }

    /// Refuses namespaces of others, but for the network's, which is where its interfaces are found.
    pub(super) fn check_namespaces_are_its_own(&self) -> Result<(), OciError> {
        let kinds = NEEDED.iter().map(|(kind, _)| *kind).filter(|kind| *kind != LinuxNamespaceType::Network);
        let mut theirs = kinds.filter_map(|kind| Some((kind, self.namespace(kind).flatten()?)));
        theirs.next().map_or(Ok(()), |(kind, path)| Err(not_shared(kind, &path)))
    }

    /// What it has with others in the VM of the container whose network it has, and whose pid on the host this is.
    ///
    /// # Errors
    /// It is not said with whom.
    pub(super) fn shared_namespaces(&self, sandbox: u32) -> Result<Vec<HostNamespace>, OciError> {
        use LinuxNamespaceType::{Ipc, Network, Pid, Uts};
        let of_pod = sandbox_id(&self.spec).is_some();
        let mut shared = Vec::new();
        for kind in [Network, Ipc, Uts, Pid] {
            match self.namespace(kind).flatten() {
                Some(path) => {
                    let named = pid_in(&path).or((kind == Network).then_some(sandbox));
                    let pid = named.ok_or_else(|| not_shared(kind, &path))?;
                    shared.push(HostNamespace { kind, pid });
                }
                // The containers of Kubernetes' pods have these three in common.
                None if of_pod && kind != Pid => shared.push(HostNamespace { kind, pid: sandbox }),
                None => {}
            }
        }
        Ok(shared)
    }

    /// Refuses what cannot be.
    fn check(&self) -> Result<(), OciError> {
        let version = self.spec.version();
        if !version.starts_with("1.") {
            return Err(OciError::Bundle(format!("ociVersion {version:?} is not supported")));
        }
        self.process()?;
        let impossible = |what: String| Err(OciError::Impossible(what));
        for (kind, what) in NEEDED {
            match self.namespace(kind) {
                None => return impossible(what.to_owned()),
                Some(Some(path)) if kind == LinuxNamespaceType::Mount => return Err(not_shared(kind, &path)),
                Some(_) => {}
            }
        }
        let namespaces = self.linux().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
        for (index, namespace) in namespaces.iter().enumerate() {
            if namespaces.iter().take(index).any(|other| other.typ() == namespace.typ()) {
                return Err(OciError::Bundle(format!("two {} namespaces", namespace.typ())));
            }
        }
        if self.namespace(LinuxNamespaceType::User).is_some() {
            return impossible("a user namespace".to_owned());
        }
        let devices = self.linux().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
        if let Some(device) = devices.iter().find(|device| !is_guests(device)) {
            return impossible(format!("the host's device {}", device.path().display()));
        }
        if let Some(what) = self.not_applied() {
            return impossible(what.to_owned());
        }
        self.resources().map_or(Ok(()), cgroup::check_unified)?;
        if let Some(hook) = self.hooks(|hooks| hooks.create_container()).first() {
            return impossible(format!(
                "createContainer hooks: {} is a program of the host, and the container's namespaces are the guest's",
                hook.path().display()
            ));
        }
        self.spec.hooks().as_ref().map_or(Ok(()), hooks::check)?;
        mounts::check(self.spec.mounts().as_deref().unwrap_or_default())
    }

    /// What nobody applies, neither here nor in the guest: that must not be passed over (runtime.md, "Create").
    fn not_applied(&self) -> Option<&'static str> {
        let process = self.spec.process().as_ref()?;
        let linux = self.linux()?;
        let asked = [
            (process.io_priority().is_some(), "a priority for its input and output (process.ioPriority)"),
            (process.scheduler().is_some(), "a scheduling policy (process.scheduler)"),
            (linux.intel_rdt().is_some(), "a share of the host's caches (linux.intelRdt)"),
            (linux.memory_policy().is_some(), "the host's memory nodes (linux.memoryPolicy)"),
            (linux.net_devices().is_some(), "the host's network devices (linux.netDevices)"),
        ];
        asked.into_iter().find_map(|(is_asked, what)| is_asked.then_some(what))
    }

    /// What the guest is told, which calls it `name`, with the host's files that it is given as they are now, of which the first has this
    /// number, and what it has with others.
    ///
    /// # Errors
    /// A source is not there, or nothing that can be shared.
    pub(super) fn for_guest(
        &self,
        name: &str,
        first_share: u32,
        theirs: &[GuestNamespace],
    ) -> Result<GuestBundle, OciError> {
        let mut shares = Shares::numbered_from(first_share);
        let of = |kind| theirs.iter().find(|theirs| theirs.kind == kind).map(|theirs| theirs.of.as_str());
        // Shared memory goes with the rest of what processes have to talk to each other.
        let memory = Path::new(SHARED_MEMORY).join(of(LinuxNamespaceType::Ipc).unwrap_or(name));
        let root = self.root.share(&self.rootfs, &mut shares)?;
        let mut spec = self.spec.clone();
        let mounts: &[Mount] = self.spec.mounts().as_deref().unwrap_or_default();
        spec.set_mounts(Some(mounts::for_guest(mounts, &mut shares, &memory)?))
            .set_hooks(hooks::of_guest(self.hooks(|hooks| hooks.start_container())));
        spec.set_process(self.spec.process().clone().map(without_impossible_ambient));
        if let Some(linux) = spec.linux_mut() {
            let mut namespaces = linux.namespaces().clone().unwrap_or_default();
            for namespace in &mut namespaces {
                namespace.set_path(of(namespace.typ()).map(PathBuf::from));
            }
            linux.set_namespaces(Some(namespaces));
            if let Some(resources) = linux.resources_mut() {
                leave_to_the_host(resources);
            }
        }
        Ok(GuestBundle { spec, shares, root })
    }
}

/// Where a bundle is, absolute, and its config.json as it is.
pub(super) fn read_spec(path: &Path) -> Result<(PathBuf, Spec), OciError> {
    let failed = |source| OciError::Read { path: path.to_owned(), source };
    let path = fs::canonicalize(path).map_err(failed)?;
    let config = path.join("config.json");
    let json = fs::read(&config).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => {
            OciError::Bundle("JSON specification file config.json not found".to_owned())
        }
        _ => OciError::Read { path: config.clone(), source },
    })?;
    let spec = serde_json::from_slice(&json)
        .or_else(|error| without_unknown_capabilities(&json).ok_or(error))
        .map_err(|source| OciError::Document { path: config, source })?;
    Ok((path, spec))
}

fn not_shared(kind: LinuxNamespaceType, path: &Path) -> OciError {
    OciError::Impossible(format!(
        "the {kind} namespace of others ({}), unless it has the network of a container of Holm's, too",
        path.display()
    ))
}

fn is_guests(device: &LinuxDevice) -> bool {
    match device.typ() {
        LinuxDeviceType::P => true,
        LinuxDeviceType::B => false,
        _ => settings::is_guests(device.major(), device.minor()),
    }
}

/// Limits that name processors, disks and page sizes of the host.
pub(super) fn leave_to_the_host(resources: &mut LinuxResources) {
    resources.set_block_io(None).set_hugepage_limits(None).set_network(None).set_rdma(None);
    if let Some(unified) = resources.unified_mut() {
        unified.retain(|name, _| cgroup::is_of_guest(name));
    }
    if let Some(cpu) = resources.cpu_mut() {
        cpu.set_cpus(None).set_mems(None);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config() -> Value {
        json!({
            "ociVersion": "1.0.2-dev",
            "root": {"path": "rootfs"},
            "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "terminal": true,
                        "consoleSize": {"height": 24, "width": 80}},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {
                "namespaces": [{"type": "pid"}, {"type": "network", "path": "/run/netns/a"}, {"type": "ipc"},
                               {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}],
                "resources": {"cpu": {"cpus": "7", "quota": 200_000}, "blockIO": {"weight": 10},
                              "unified": {"memory.high": "9", "io.weight": "7"}},
                "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
            }
        })
    }

    fn bundle(change: impl FnOnce(&mut Value)) -> Result<Bundle, OciError> {
        let mut config = config();
        change(&mut config);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rootfs")).unwrap();
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let bundle = Bundle::load(dir.path())?;
        bundle.for_guest("box", 0, &[])?;
        Ok(bundle)
    }

    #[test]
    fn what_is_the_hosts_is_taken_from_the_guests_spec() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rootfs")).unwrap();
        fs::write(dir.path().join("config.json"), config().to_string()).unwrap();
        let bundle = Bundle::load(dir.path()).unwrap();
        assert_eq!(bundle.network(), NetworkNamespace::Join("/run/netns/a".into()));
        assert_eq!((bundle.console_size(), bundle.shape(&Role::Alone).vcpus), (Some((80, 24)), 2));
        let guest = bundle.for_guest("box", 0, &[]).unwrap();
        assert_eq!(guest.root, "/run/shares/0");
        assert_eq!(guest.shares.configs[0].directory, fs::canonicalize(dir.path()).unwrap().join("rootfs"));
        let linux = serde_json::to_value(guest.spec.linux()).unwrap();
        assert!(linux["namespaces"].as_array().unwrap().iter().all(|n| n.get("path").is_none()));
        assert_eq!(linux["resources"]["cpu"], json!({"quota": 200_000}));
        assert!(linux["resources"].get("blockIO").is_none());
        assert_eq!(linux["resources"]["unified"], json!({"memory.high": "9"}));
    }

    #[test]
    fn of_the_hooks_the_guest_gets_those_that_run_in_the_container() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rootfs")).unwrap();
        let mut config = config();
        let (start, stop) = (json!([{"path": "/bin/a"}]), json!([{"path": "/bin/b"}]));
        config["hooks"] = json!({"startContainer": start, "poststop": stop});
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let guest = Bundle::load(dir.path()).unwrap().for_guest("box", 0, &[]).unwrap();
        assert_eq!(serde_json::to_value(guest.spec.hooks()).unwrap(), json!({"startContainer": start}));
    }

    #[test]
    fn a_container_is_in_others_namespaces_by_their_pids() {
        use LinuxNamespaceType::{Ipc, Network, Pid, Uts};
        let shared = |change: fn(&mut Value)| {
            let all = bundle(change).unwrap().shared_namespaces(7).unwrap();
            all.into_iter().map(|shared| (shared.kind, shared.pid)).collect::<Vec<_>>()
        };
        assert_eq!(shared(|_| ()), [(Network, 7)]);
        let of_pod = |config: &mut Value| {
            config["annotations"] = json!({"io.kubernetes.cri.container-type": "container",
                                           "io.kubernetes.cri.sandbox-id": "pod"});
            config["linux"]["namespaces"][0]["path"] = "/proc/8/ns/pid".into();
        };
        assert_eq!(shared(of_pod), [(Network, 7), (Ipc, 7), (Uts, 7), (Pid, 8)]);
        let pinned = bundle(|c| c["linux"]["namespaces"][2]["path"] = "/run/ipcns/a".into()).unwrap();
        assert!(pinned.shared_namespaces(7).unwrap_err().to_string().contains("/run/ipcns/a"));
        assert!(pinned.check_namespaces_are_its_own().unwrap_err().to_string().contains("/run/ipcns/a"));
        bundle(|_| ()).unwrap().check_namespaces_are_its_own().unwrap();
    }

    #[test]
    fn the_guest_knows_others_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rootfs")).unwrap();
        fs::write(dir.path().join("config.json"), config().to_string()).unwrap();
        let theirs = GuestNamespace { kind: LinuxNamespaceType::Network, of: "other".to_owned() };
        let guest = Bundle::load(dir.path()).unwrap().for_guest("box", 3, &[theirs]).unwrap();
        let linux = serde_json::to_value(guest.spec.linux()).unwrap();
        let paths =
            linux["namespaces"].as_array().unwrap().iter().map(|namespace| namespace["path"].as_str());
        assert_eq!(paths.flatten().collect::<Vec<_>>(), ["other"]);
    }

    #[test]
    fn what_a_vm_cannot_give_is_refused() {
        bundle(|_| ()).unwrap();
        let refused = |change: fn(&mut Value)| bundle(change).unwrap_err().to_string();
        let without = |kind: &'static str| {
            let error = bundle(|config| {
                let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
                namespaces.retain(|namespace| namespace["type"] != kind);
            });
            error.unwrap_err().to_string()
        };
        assert!(without("pid").contains("the host's processes"));
        assert!(without("network").contains("the host's network"));
        assert!(without("ipc").contains("IPC") && without("uts").contains("the host's name"));
        assert!(refused(|c| c["linux"]["namespaces"][4]["path"] = "/proc/1/ns/mnt".into()).contains("mnt"));
        assert!(refused(|c| c["linux"]["devices"][0]["major"] = 8.into()).contains("/dev/fuse"));
        assert!(refused(|c| c["linux"]["devices"][0]["type"] = "b".into()).contains("/dev/fuse"));
        let hooks =
            |hooks: Value| bundle(|config| config["hooks"] = hooks).map_err(|error| error.to_string());
        assert!(hooks(json!({"startContainer": [{"path": "/bin/true", "timeout": 1}]})).is_ok());
        let refused_hooks = |kind: &str, hook: Value| hooks(json!({kind: [hook]})).unwrap_err();
        assert!(
            refused_hooks("createContainer", json!({"path": "/bin/true"})).contains("/bin/true is a program")
        );
        assert!(refused_hooks("poststop", json!({"path": "true"})).contains("is not absolute"));
        assert!(refused_hooks("startContainer", json!({"path": "/a", "timeout": 0})).contains("timeout"));
        assert!(bundle(|c| c["linux"]["devices"] = json!([{"path": "/dev/f", "type": "p"}])).is_ok());
        let twice =
            |c: &mut Value| c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "pid"}));
        assert!(bundle(twice).unwrap_err().to_string().contains("two pid namespaces"));
        let scheduler = |c: &mut Value| c["process"]["scheduler"] = json!({"policy": "SCHED_BATCH"});
        assert!(bundle(scheduler).unwrap_err().to_string().contains("process.scheduler"));
        let unified = |name: &str| {
            bundle(|c| c["linux"]["resources"]["unified"] = json!({name: "1"})).map_err(|e| e.to_string())
        };
        assert!(unified("memory.high").is_ok() && unified("io.weight").is_ok());
        assert!(unified("hugetlb.2MB.max").unwrap_err().contains("hugetlb.2MB.max"));
        assert!(unified("io./../../x").is_err());
        assert!(
            bundle(|c| c["process"]["capabilities"] = json!({"bounding": ["CAP_HOPE", "CAP_KILL"]})).is_ok()
        );
        assert!(bundle(|c| c["process"]["capabilities"] = json!({"bounding": [1]})).is_err());
        assert!(refused(|c| c["ociVersion"] = "2.0".into()).contains("2.0"));
        assert!(refused(|c| drop(c.as_object_mut().unwrap().remove("process"))).contains("process"));
        assert!(refused(|c| c["root"]["path"] = "gone".into()).contains("does not exist"));
    }
}
