//! A container's first process: makes the container around itself.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, fchdir, pivot_root, sethostname, setsid};

use super::channel::ChildEnd;
use super::terminal::Terminal;
use super::{ChildStdio, finish};
use crate::container::rootdir::RootDir;
use crate::container::{ContainerPlan, devices, masks, namespaces, sysctl};
use crate::fault::{At, Fault};
use crate::oci::NamespaceKind;
use crate::sys::mount_api::{FsContext, attr, set_attributes};
use crate::sys::{clone, descriptors, network};

/// Runs in the clone. `rootfs` is where the agent mounted the container's root.
pub(crate) fn run(plan: &ContainerPlan, rootfs: &Path, stdio: &ChildStdio, mut channel: ChildEnd) -> ! {
    let Err(fault) = become_container(plan, rootfs, stdio, &mut channel);
    channel.fail(&fault);
    clone::exit_now(super::SETUP_FAILED)
}

fn become_container(
    plan: &ContainerPlan,
    rootfs: &Path,
    stdio: &ChildStdio,
    channel: &mut ChildEnd,
) -> Result<Infallible, Fault> {
    let [stdin, stdout, stderr] = stdio.descriptors();
    let network = plan.network.as_ref().map(AsFd::as_fd);
    let kept: Vec<_> = [channel.as_fd(), stdin, stdout, stderr]
        .into_iter()
        .chain(plan.interfaces.descriptor())
        .chain(network)
        .chain(plan.joined.iter().map(|(_, process)| process.as_fd()))
        .collect();
    descriptors::close_all_except(&kept).at("closing descriptors")?;
    setsid().at("starting a session")?;
    set_up_namespaces(plan)?;
    // Nothing that is mounted here may reach the agent's namespace, nor the other way round.
    let propagation = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, propagation, None::<&str>).at("making mounts private")?;
    let root = RootDir::open(rootfs).at("opening the root")?;
    let terminal = set_up_root(plan, &root)?;
    enter_root(plan, &root)?;
    finish::finish(&plan.process, stdio, terminal, channel)
}

fn set_up_namespaces(plan: &ContainerPlan) -> Result<(), Fault> {
    // It was born in the pid namespace.
    for (kind, process) in plan.joined.iter().filter(|(kind, _)| *kind != NamespaceKind::Pid) {
        setns(process, namespaces::flags_of(*kind)).at("joining another container's namespace")?;
    }
    if plan.namespaces.has(NamespaceKind::Cgroup) {
        unshare(CloneFlags::CLONE_NEWCGROUP).at("making a cgroup namespace")?;
    }
    if plan.namespaces.has(NamespaceKind::Time) {
        // The namespace is entered at execve (Linux 6.0).
        unshare(CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)).at("making a time namespace")?;
        if !plan.time_offsets.is_empty() {
            let procfs = procfs()?;
            let offsets = nix::fcntl::openat(
                &procfs,
                "self/timens_offsets",
                nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_CLOEXEC,
                Mode::empty(),
            );
            let offsets = offsets.at("setting time offsets")?;
            nix::unistd::write(offsets, plan.time_offsets.as_bytes()).refuse("setting time offsets")?;
        }
    }
    if plan.namespaces.makes(NamespaceKind::Network) {
        match &plan.network {
            Some(made) => setns(made, CloneFlags::CLONE_NEWNET).at("entering the network namespace")?,
            None => network::bring_up("lo").at("bringing up the loopback interface")?,
        }
        plan.interfaces.set_up()?;
    }
    if plan.namespaces.makes(NamespaceKind::Uts) {
        if let Some(hostname) = &plan.hostname {
            sethostname(hostname).at("setting the host name")?;
        }
        if let Some(domainname) = &plan.domainname {
            rustix::system::setdomainname(domainname.as_bytes()).at("setting the domain name")?;
        }
    }
    Ok(())
}

/// All that is mounted, made and covered in the root while the guest can still be seen.
fn set_up_root(plan: &ContainerPlan, root: &RootDir) -> Result<Option<Terminal>, Fault> {
    umask(Mode::empty());
    for mount in &plan.mounts {
        mount.apply(root)?;
    }
    // A /dev that is bound from elsewhere is somebody else's.
    if !plan.mounts.iter().any(|mount| mount.binds("/dev")) {
        for device in &plan.devices {
            device.make(root)?;
        }
        devices::make_links(root)?;
    }
    let terminal = match plan.process.terminal {
        Some(size) => {
            let terminal = Terminal::open(root, size)?;
            terminal.mount_as_console(root)?;
            Some(terminal)
        }
        None => None,
    };
    if !plan.sysctl.is_empty() {
        sysctl::apply(&plan.sysctl, &procfs()?)?;
    }
    masks::make_read_only(root, &plan.readonly_paths)?;
    masks::mask(root, &plan.masked_paths)?;
    if plan.readonly_root {
        set_attributes(root.descriptor().as_fd(), false, attr::RDONLY, 0, 0)
            .at("making the root read-only")?;
    }
    Ok(terminal)
}

/// The root becomes `/`, and the guest's is gone.
fn enter_root(plan: &ContainerPlan, root: &RootDir) -> Result<(), Fault> {
    let what = "changing the root";
    fchdir(root.descriptor()).at(what)?;
    pivot_root(".", ".").at(what)?;
    // The old root now lies over the new one.
    umount2(".", MntFlags::MNT_DETACH).at(what)?;
    chdir("/").at(what)?;
    if let Some(propagation) = plan.root_propagation {
        let flags = MsFlags::from_bits_truncate(propagation);
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).at("setting rootfsPropagation")?;
    }
    Ok(())
}

/// A procfs of the container's namespaces that is mounted nowhere.
fn procfs() -> Result<OwnedFd, Fault> {
    let context = FsContext::open(c"proc").at("making a procfs")?;
    context.mount(attr::NOSUID | attr::NODEV | attr::NOEXEC).at("making a procfs")
}
