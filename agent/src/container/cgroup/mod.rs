//! A container's cgroup: `/sys/fs/cgroup/<container id>` (cgroup v2 only).
//!
//! The agent stays in the root cgroup, where no limit applies to it. The container's processes are born in theirs and
//! see it as the root of their cgroup namespace.

mod device_filter;
mod usage;
mod values;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use crate::fault::{At, Fault};
use crate::oci::Resources;
use crate::sys::bpf;

/// Where the agent mounts cgroup v2.
pub(crate) const MOUNT_POINT: &str = "/sys/fs/cgroup";

/// One container's cgroup. Removed by [`Cgroup::remove`], not on drop.
pub(crate) struct Cgroup {
    path: PathBuf,
    directory: File,
}

impl Cgroup {
    /// Makes the cgroup and applies limits and device rules.
    pub(crate) fn create(container_id: &str, resources: &Resources) -> Result<Self, Fault> {
        let settings = values::settings(resources)?;
        let devices = device_filter::program(&resources.devices)?;
        enable_controllers()?;
        let path = Path::new(MOUNT_POINT).join(container_id);
        fs::create_dir(&path).at("making the cgroup")?;
        let directory = File::open(&path).at("opening the cgroup")?;
        let cgroup = Self { path, directory };
        if let Err(fault) = cgroup.apply(&settings, devices.as_deref()) {
            cgroup.remove();
            return Err(fault);
        }
        Ok(cgroup)
    }

    /// Applies other limits; device rules stay.
    pub(crate) fn update(&self, resources: &Resources) -> Result<(), Fault> {
        self.apply(&values::settings(resources)?, None)
    }

    fn apply(&self, settings: &[values::Setting], devices: Option<&[bpf::Instruction]>) -> Result<(), Fault> {
        for (file, value) in settings {
            let path = self.path.join(file);
            // The host may ask for what the kernel lacks or for a bad value; both are the spec's fault.
            fs::write(&path, value).refuse(format_args!("setting {file} to {value:?}"))?;
        }
        if let Some(program) = devices {
            let program = bpf::load_device_program(program).at("loading the device filter")?;
            bpf::attach_device_program(self.directory.as_fd(), program.as_fd())
                .at("attaching the device filter")?;
        }
        Ok(())
    }

    /// The directory, for cloning into.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// SIGKILL to every process in it and below, now and without races.
    pub(crate) fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }

    /// Asks the kernel to stop every process in it and below, or to let them go on.
    pub(crate) fn freeze(&self, frozen: bool) -> io::Result<()> {
        fs::write(self.path.join("cgroup.freeze"), if frozen { "1" } else { "0" })
    }

    /// Whether all of them have stopped.
    pub(crate) fn frozen(&self) -> io::Result<bool> {
        Ok(fs::read_to_string(self.path.join("cgroup.events"))?.lines().any(|line| line == "frozen 1"))
    }

    /// Processes in it and below, in the agent's pid namespace.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        collect_pids(&self.path, &mut pids);
        pids
    }

    /// Whose memory was used up when the kernel killed something in it for memory, if it did.
    pub(crate) fn out_of_memory(&self) -> Option<Exhausted> {
        exhausted(&fs::read_to_string(self.path.join("memory.events")).ok()?)
    }

    /// Removes it and what the workload made below. Only works once all processes are gone.
    pub(crate) fn remove(&self) {
        remove_tree(&self.path);
    }
}

/// Whose memory was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// What the limit of the container, or of a cgroup in it, allows.
    Limit,
    /// All that the VM has.
    Vm,
}

/// From `memory.events`: `oom` counts limits that were reached, `oom_kill` what was killed, whatever the reason (Linux
/// `cgroup-v2.rst`).
fn exhausted(events: &str) -> Option<Exhausted> {
    let has = |name: &str| {
        events.lines().any(|line| line.strip_prefix(name).is_some_and(|count| count.trim() != "0"))
    };
    let cause = if has("oom ") { Exhausted::Limit } else { Exhausted::Vm };
    has("oom_kill ").then_some(cause)
}

/// Lets cgroups below the root use every controller that the kernel has.
pub(crate) fn enable_controllers() -> Result<(), Fault> {
    let root = Path::new(MOUNT_POINT);
    let control = root.join("cgroup.subtree_control");
    if !fs::read_to_string(&control).unwrap_or_default().trim().is_empty() {
        return Ok(());
    }
    let available = fs::read_to_string(root.join("cgroup.controllers")).at("reading cgroup.controllers")?;
    let wanted: Vec<String> = available.split_whitespace().map(|name| format!("+{name}")).collect();
    fs::write(&control, wanted.join(" ")).at("enabling cgroup controllers")
}

fn collect_pids(directory: &Path, pids: &mut Vec<i32>) {
    let list = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    pids.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for child in subdirectories(directory) {
        collect_pids(&child, pids);
    }
}

fn remove_tree(directory: &Path) {
    for child in subdirectories(directory) {
        remove_tree(&child);
    }
    if let Err(error) = fs::remove_dir(directory) {
        tracing::warn!("cannot remove cgroup {}: {error}", directory.display());
    }
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.filter_map(Result::ok).filter(is_directory).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_up_is_told_apart() {
        let events =
            |oom, kill| format!("low 0\nhigh 3\nmax 9\noom {oom}\noom_kill {kill}\noom_group_kill 0\n");
        assert_eq!(exhausted(&events(2, 1)), Some(Exhausted::Limit));
        assert_eq!(exhausted(&events(0, 12)), Some(Exhausted::Vm));
        assert_eq!(exhausted(&events(5, 0)), None, "an allocation failed");
        assert_eq!(exhausted(""), None);
    }
}
