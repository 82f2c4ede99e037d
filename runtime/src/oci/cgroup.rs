//! The cgroup of a container on the host: supervisor and VMM are in it, so that what an engine limits and reads there is true.
//!
//! Limits of the spec hold twice: in the guest for the workload, and here for the whole VM, which is allowed what it needs
//! beside the workload. cgroup v2 only: on a v1 host there is none.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use super::error::OciError;
use crate::sandbox::VmShape;

/// Where version 2 is mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// What the VMM and the supervisor need beside the guest's memory.
const OVERHEAD_BYTES: u64 = 64 << 20;
/// The file with the processes of a cgroup.
const PROCESSES: &str = "cgroup.procs";
/// What is limited or counted.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// How the cgroup path of a spec is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupForm {
    /// A directory.
    Directory,
    /// `SLICE:PREFIX:NAME`, as systemd has it.
    Systemd,
    /// The one of the two that it looks like: containerd says it by the path alone.
    Either,
}

impl CgroupForm {
    fn is_systemds(self, path: &Path) -> bool {
        match self {
            Self::Directory => false,
            Self::Systemd => true,
            Self::Either => {
                let path = path.to_string_lossy();
                let mut parts = path.split(':');
                parts.next().is_some_and(|slice| slice.ends_with(".slice")) && parts.count() == 2
            }
        }
    }
}

/// Where a spec's cgroup is, below the root; `None` where the host has no cgroup v2. As runc: without a path it has the id's name.
pub(super) fn place(path: Option<&Path>, id: &str, form: CgroupForm) -> Result<Option<PathBuf>, OciError> {
    let root = Path::new(ROOT);
    if !root.join("cgroup.controllers").exists() {
        return Ok(None);
    }
    let malformed =
        || OciError::Bundle(format!("cgroupsPath {:?} is malformed", path.unwrap_or(Path::new(""))));
    let below = match path {
        None => PathBuf::from(id),
        Some(path) if form.is_systemds(path) => {
            systemds(path.to_str().ok_or_else(malformed)?).ok_or_else(malformed)?
        }
        Some(path) => path.to_owned(),
    };
    let mut place = root.to_owned();
    for component in below.components() {
        match component {
            Component::Normal(name) => place.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(malformed()),
        }
    }
    if place == root { Err(malformed()) } else { Ok(Some(place)) }
}

/// `SLICE:PREFIX:NAME`: a slice `a-b.slice` lies in `a.slice`, the scope in it.
fn systemds(path: &str) -> Option<PathBuf> {
    let mut parts = path.split(':');
    let (slice, prefix, name) = (parts.next()?, parts.next()?, parts.next()?);
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let stem = slice.strip_suffix(".slice").filter(|_| parts.next().is_none() && !name.is_empty())?;
    let mut below = PathBuf::new();
    let mut upper = String::new();
    // `-.slice` is the root.
    for word in stem.split('-').filter(|_| stem != "-") {
        if word.is_empty() {
            return None;
        }
        upper = if upper.is_empty() { word.to_owned() } else { format!("{upper}-{word}") };
        below.push(format!("{upper}.slice"));
    }
    let scope = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    below.push(if name.ends_with(".slice") { name.to_owned() } else { scope });
    Some(below)
}

/// Makes a cgroup, with all that lead to it, puts this process into it and sets its limits.
pub(super) fn enter(
    place: &Path,
    resources: Option<&LinuxResources>,
    shape: VmShape,
) -> Result<(), OciError> {
    fs::create_dir_all(place).map_err(failed(place))?;
    let above = place.ancestors().skip(1).take_while(|path| path.starts_with(ROOT));
    for directory in above.collect::<Vec<_>>().into_iter().rev() {
        for controller in CONTROLLERS {
            // One that the host does not have, or does not hand on, limits and counts nothing.
            let _ = fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
    resources.map_or(Ok(()), |resources| set_limits(place, resources, shape))?;
    let processes = place.join(PROCESSES);
    fs::write(&processes, std::process::id().to_string()).map_err(failed(&processes))
}

/// Sets the limits that are named; the others stay.
pub(super) fn set_limits(place: &Path, resources: &LinuxResources, shape: VmShape) -> Result<(), OciError> {
    for (name, value) in limits(resources, shape) {
        let path = place.join(name);
        if path.exists() {
            fs::write(&path, value).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// Makes the limits of a container's cgroup those of a VM that has others, too, and this much memory: what each may use of it holds in the
/// guest only.
pub(super) fn share(place: &Path, memory_mib: u32) -> Result<(), OciError> {
    let (memory, processors) = (place.join("memory.max"), place.join("cpu.max"));
    if fs::read_to_string(&memory).is_ok_and(|limit| limit.trim_end() != "max") {
        fs::write(&memory, whole_bytes(memory_mib).to_string()).map_err(failed(&memory))?;
    }
    if processors.exists() {
        fs::write(&processors, "max").map_err(failed(&processors))?;
    }
    Ok(())
}

/// What a VM with so much memory needs on the host.
fn whole_bytes(memory_mib: u32) -> u64 {
    (u64::from(memory_mib) << 20) + OVERHEAD_BYTES
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> OciError {
    let path = path.to_owned();
    move |source| OciError::Write { path, source }
}

/// The processes in a cgroup and below it; none of one that is gone.
pub(super) fn processes(place: &Path) -> Vec<u32> {
    let listed = fs::read_to_string(place.join(PROCESSES)).unwrap_or_default();
    let mut pids: Vec<u32> = listed.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(processes(&entry.path()));
        }
    }
    pids
}

/// Whether a file that the spec names as it is in cgroup v2 (`linux.resources.unified`) is for the workload, and so in the guest.
pub(super) fn is_of_guest(name: &str) -> bool {
    ["cpu.", "memory.", "pids."].iter().any(|controller| name.starts_with(controller))
}

/// Whether it is for what the host has: processors and disks.
fn is_of_host(name: &str) -> bool {
    ["cpuset.", "io."].iter().any(|controller| name.starts_with(controller)) && !name.contains('/')
}

/// Refuses files of cgroup v2 that are nobody's.
pub(super) fn check_unified(resources: &LinuxResources) -> Result<(), OciError> {
    let mut names = resources.unified().iter().flatten().map(|(name, _)| name);
    match names.find(|name| !is_of_guest(name) && !is_of_host(name)) {
        Some(name) => Err(OciError::Impossible(format!("the limit {name}"))),
        None => Ok(()),
    }
}

/// Files and what is written into them. The number of processes is the guest's: the host has a fixed few.
fn limits(resources: &LinuxResources, shape: VmShape) -> Vec<(String, String)> {
    let mut limits: Vec<(String, String)> = Vec::new();
    let mut limit = |name: &str, value: String| limits.push((name.to_owned(), value));
    let memory = resources.memory().as_ref().and_then(|memory| memory.limit()).filter(|limit| *limit > 0);
    if memory.is_some() {
        limit("memory.max", whole_bytes(shape.memory_mib).to_string());
    }
    if let Some(cpu) = resources.cpu() {
        if cpu.quota().is_some() || cpu.period().is_some() {
            let quota = cpu.quota().filter(|quota| *quota > 0);
            let quota = quota.map_or("max".to_owned(), |quota| quota.to_string());
            let period = cpu.period().filter(|period| *period > 0).unwrap_or(100_000);
            limit("cpu.max", format!("{quota} {period}"));
        }
        if let Some(shares) = cpu.shares().filter(|shares| *shares > 0) {
            // As runc: 2 to 262144 becomes 1 to 10000.
            let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142;
            limit("cpu.weight", weight.to_string());
        }
        for (name, list) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
            if let Some(list) = list.clone().filter(|list| !list.is_empty()) {
                limit(name, list);
            }
        }
    }
    if let Some(disks) = resources.block_io() {
        if let Some(weight) = disks.weight().filter(|weight| *weight > 0) {
            // As runc: 10 to 1000 becomes 1 to 10000.
            let weight = 1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990;
            limit("io.weight", format!("default {weight}"));
        }
        let rates = [
            ("rbps", disks.throttle_read_bps_device()),
            ("wbps", disks.throttle_write_bps_device()),
            ("riops", disks.throttle_read_iops_device()),
            ("wiops", disks.throttle_write_iops_device()),
        ];
        for (key, devices) in rates {
            for device in devices.iter().flatten() {
                let rate = Some(device.rate()).filter(|rate| *rate > 0);
                let rate = rate.map_or("max".to_owned(), |rate| rate.to_string());
                limit("io.max", format!("{}:{} {key}={rate}", device.major(), device.minor()));
            }
        }
    }
    let unified = resources.unified().iter().flatten().filter(|(name, _)| is_of_host(name));
    for (name, value) in unified {
        limit(name, value.clone());
    }
    limits
}

/// Removes a cgroup without processes, and those below it; fine when it is not there.
pub(super) fn remove(place: &Path) -> io::Result<()> {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_systemd_become_directories() {
        let found = |path: &str| systemds(path).map(|path| path.display().to_string());
        assert_eq!(found("machine.slice:libpod:abc").as_deref(), Some("machine.slice/libpod-abc.scope"));
        assert_eq!(
            found("user-1000.slice:docker:abc").as_deref(),
            Some("user.slice/user-1000.slice/docker-abc.scope")
        );
        assert_eq!(found("-.slice::abc").as_deref(), Some("abc.scope"));
        assert_eq!(found(":p:n").as_deref(), Some("system.slice/p-n.scope"));
        for malformed in ["", "a:b", "a.slice:b:", "a:b:c", "a--b.slice:c:d", "a.slice:b:c:d"] {
            assert_eq!(found(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn paths_can_be_told_by_their_form() {
        assert!(CgroupForm::Either.is_systemds(Path::new("kubepods-burstable.slice:cri-containerd:abc")));
        for path in ["/default/box", "/k8s.slice/box", "a:b:c", "kubepods.slice:a"] {
            assert!(!CgroupForm::Either.is_systemds(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn processes_below_belong_to_a_cgroup_too() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(PROCESSES), "7\n8\n").unwrap();
        fs::create_dir(place.path().join("below")).unwrap();
        fs::write(place.path().join("below").join(PROCESSES), "9\n").unwrap();
        assert_eq!(processes(place.path()), [7, 8, 9]);
        assert!(processes(&place.path().join("gone")).is_empty());
    }

    #[test]
    fn a_vm_of_several_has_room_for_all() {
        let place = tempfile::tempdir().unwrap();
        let (memory, processors) = (place.path().join("memory.max"), place.path().join("cpu.max"));
        let shared = |limit: &str| {
            fs::write(&memory, limit).unwrap();
            fs::write(&processors, "50000 100000\n").unwrap();
            share(place.path(), 1024).unwrap();
            [&memory, &processors].map(|path| fs::read_to_string(path).unwrap())
        };
        assert_eq!(shared("201326592\n"), [(1088_u64 << 20).to_string(), "max".to_owned()]);
        assert_eq!(shared("max\n"), ["max\n", "max"]);
    }

    #[test]
    fn the_vm_gets_what_it_needs_beside_its_workload() {
        let resources: LinuxResources = serde_json::from_value(serde_json::json!({
            "memory": {"limit": 134_217_728}, "pids": {"limit": 5},
            "cpu": {"quota": 50000, "shares": 1024, "cpus": "0-1"},
            "blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 4096}]},
            "unified": {"memory.high": "1", "io.latency": "8:0 target=5"}
        }))
        .unwrap();
        let shape = VmShape { vcpus: 1, memory_mib: 192 };
        let expected = [
            ("memory.max", (256_u64 << 20).to_string()),
            ("cpu.max", "50000 100000".to_owned()),
            ("cpu.weight", "39".to_owned()),
            ("cpuset.cpus", "0-1".to_owned()),
            ("io.weight", "default 4950".to_owned()),
            ("io.max", "8:0 rbps=4096".to_owned()),
            ("io.latency", "8:0 target=5".to_owned()),
        ];
        let limits = |resources: &LinuxResources| limits(resources, shape);
        let named = |expected: &[(&str, String)]| -> Vec<(String, String)> {
            expected.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        assert_eq!(limits(&resources), named(&expected));
        let none = serde_json::from_str(r#"{"memory": {"limit": -1}, "cpu": {"shares": 0}}"#);
        assert!(limits(&none.unwrap()).is_empty());
        let lifted = serde_json::from_str(r#"{"cpu": {"quota": -1}}"#).unwrap();
        assert_eq!(limits(&lifted), named(&[("cpu.max", "max 100000".to_owned())]));
    }
}
