//! Assembles the OCI runtime spec (config.md, config-linux.md) of a container.

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{
    Linux, LinuxCapabilities, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxNamespace,
    LinuxNamespaceType, LinuxResources, Mount, PosixRlimit, PosixRlimitBuilder, Process, Root, Spec, User,
};

use super::command::{CommandError, arguments};
use super::environment::environment;
use super::resources::limit_resources;
use super::{capabilities, mounts, seccomp};
use crate::container::settings::{GuestDevice, Settings};

/// What the guest needs to make the container.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// config.json of the OCI runtime spec.
    pub spec: Spec,
}

/// Why no bundle can be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BundleError {
    /// Nothing to run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// `-w` is not absolute.
    #[error("the working directory {0:?} is invalid, it needs to be an absolute path")]
    WorkingDir(String),
}

/// Annotation that asks the agent for a small init before the workload (`--init`).
const INIT_ANNOTATION: &str = "holm.init";

/// Block devices over files, by linux/major.h, and how many of them a host has by custom; the kernel makes one when it is opened.
const LOOP_MAJOR: i64 = 7;
const LOOP_DEVICES: i64 = 8;
const LOOP_MODE: u32 = 0o660;

const MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READONLY_PATHS: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Combines image, settings and defaults.
///
/// # Errors
/// When there is nothing to run or a setting contradicts the spec.
pub fn build(image: &ImageConfiguration, settings: &Settings, hostname: &str) -> Result<Bundle, BundleError> {
    let chosen = capabilities::chosen(settings);
    let mut spec = Spec::default();
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs")).set_readonly(Some(settings.read_only_rootfs));
    let annotations = settings.init.then(|| (INIT_ANNOTATION.to_owned(), "true".to_owned()));
    spec.set_version("1.2.0".to_owned())
        .set_root(Some(root))
        .set_hostname(Some(hostname.to_owned()))
        .set_domainname(settings.domainname.clone())
        .set_mounts(Some(mounts::mounts(settings)))
        .set_annotations(Some(annotations.into_iter().collect::<HashMap<_, _>>()))
        .set_process(Some(process(image, settings, hostname)?))
        .set_linux(Some(linux(settings, &chosen)));
    Ok(Bundle { spec })
}

impl Bundle {
    /// Mounts what of the host the container sees.
    pub fn add_mounts(&mut self, mounts: Vec<Mount>) {
        mounts::add(&mut self.spec, mounts);
    }
}

fn process(image: &ImageConfiguration, settings: &Settings, hostname: &str) -> Result<Process, BundleError> {
    let config = image.config().clone().unwrap_or_default();
    let entrypoint = config.entrypoint().clone().unwrap_or_default();
    let cmd = config.cmd().clone().unwrap_or_default();
    let user = settings.user.clone().or_else(|| config.user().clone()).unwrap_or_default();
    let mut process = Process::default();
    process
        .set_terminal(Some(settings.tty))
        .set_user(user_to_resolve(&user, &settings.group_add))
        .set_args(Some(arguments(&entrypoint, &cmd, settings)?))
        .set_env(Some(environment(
            &config.env().clone().unwrap_or_default(),
            &settings.env,
            hostname,
            settings.tty,
        )))
        .set_cwd(working_dir(settings, config.working_dir().as_deref())?)
        .set_capabilities(Some(user_capabilities(settings, &user)))
        .set_rlimits(Some(rlimits(settings)))
        .set_oom_score_adj(settings.oom_score_adj.map(i32::from))
        .set_no_new_privileges(Some(settings.no_new_privileges));
    Ok(process)
}

/// The image's own working directory may be relative to the root (Docker takes it so); the user's may not.
fn working_dir(settings: &Settings, image: Option<&str>) -> Result<PathBuf, BundleError> {
    match (&settings.working_dir, image) {
        (Some(given), _) if given.starts_with('/') => Ok(PathBuf::from(given)),
        (Some(given), _) => Err(BundleError::WorkingDir(given.clone())),
        (None, Some(dir)) if !dir.is_empty() => Ok(PathBuf::from("/").join(dir)),
        (None, _) => Ok(PathBuf::from("/")),
    }
}

/// Names are looked up by the guest, in the container's own passwd and group files: the user, and in a line each the groups that it
/// has beside its own.
pub(super) fn user_to_resolve(user: &str, more_groups: &[String]) -> User {
    let lines = std::iter::once(user).chain(more_groups.iter().map(String::as_str));
    let lines = lines.collect::<Vec<_>>().join("\n");
    let mut resolved = User::default();
    resolved.set_username((!lines.is_empty()).then_some(lines));
    resolved
}

/// The capabilities of a process of `user`.
pub(super) fn user_capabilities(settings: &Settings, user: &str) -> LinuxCapabilities {
    capabilities::sets(&capabilities::chosen(settings), is_root(user))
}

/// Whether a user is root for certain; a name that maps to 0 in the image's passwd file is only found in the guest.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    name.is_empty() || name == "root" || name.parse() == Ok(0_u32)
}

fn rlimits(settings: &Settings) -> Vec<PosixRlimit> {
    let limits = settings.ulimits.iter().filter_map(|limit| {
        let builder =
            PosixRlimitBuilder::default().typ(limit.rlimit_type()?).soft(limit.soft).hard(limit.hard);
        builder.build().ok()
    });
    limits.collect()
}

fn linux(settings: &Settings, chosen: &std::collections::HashSet<oci_spec::runtime::Capability>) -> Linux {
    let owned = |paths: &[&str]| paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
    let namespace = |typ| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(typ);
        namespace
    };
    let namespaces = [
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Network,
        LinuxNamespaceType::Cgroup,
    ];
    let mut linux = Linux::default();
    linux
        .set_devices(Some(devices(settings)))
        .set_namespaces(Some(namespaces.map(namespace).to_vec()))
        .set_resources(Some(resources(settings)))
        .set_sysctl(Some(sysctls(settings)))
        .set_masked_paths(Some(if settings.privileged { vec![] } else { owned(MASKED_PATHS) }))
        .set_readonly_paths(Some(if settings.privileged { vec![] } else { owned(READONLY_PATHS) }))
        .set_seccomp((!settings.privileged).then(|| seccomp::default_profile(chosen)));
    linux
}

/// The devices beside those that every container has. With --privileged these are all that a workload can need of its guest.
fn devices(settings: &Settings) -> Vec<LinuxDevice> {
    let node = |path: &str, kind, (major, minor), mode| {
        let mut device = LinuxDevice::default();
        device
            .set_path(PathBuf::from(path))
            .set_typ(kind)
            .set_major(major)
            .set_minor(minor)
            .set_file_mode(Some(mode));
        device
    };
    let of_guest = |device: &GuestDevice| {
        Some(node(&device.path_in_container, LinuxDeviceType::C, device.numbers()?, device.mode()))
    };
    let mut devices: Vec<_> = settings.devices.iter().filter_map(of_guest).collect();
    if settings.privileged {
        devices.extend(GuestDevice::of_privileged().filter_map(|device| of_guest(&device)));
        let loops = (0..LOOP_DEVICES).map(|minor| (format!("/dev/loop{minor}"), (LOOP_MAJOR, minor)));
        devices.extend(loops.map(|(path, numbers)| node(&path, LinuxDeviceType::B, numbers, LOOP_MODE)));
    }
    devices
}

fn sysctls(settings: &Settings) -> HashMap<String, String> {
    // Docker's defaults: unprivileged users may use low ports and ping.
    let defaults =
        [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];
    let given = settings.sysctls.iter().map(|s| (s.name.clone(), s.value.clone()));
    defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain(given).collect()
}

fn resources(settings: &Settings) -> LinuxResources {
    let mut resources = limit_resources(&settings.limits);
    resources.set_devices(Some(device_rules(settings)));
    resources
}

/// Docker's device rules: mknod of anything, use of the harmless ones; everything when privileged.
fn device_rules(settings: &Settings) -> Vec<LinuxDeviceCgroup> {
    let rule = |allow, typ, major, minor, access: &str| {
        let mut rule = LinuxDeviceCgroup::default();
        rule.set_allow(allow)
            .set_typ(typ)
            .set_major(major)
            .set_minor(minor)
            .set_access(Some(access.to_owned()));
        rule
    };
    if settings.privileged {
        return vec![rule(true, None, None, None, "rwm")];
    }
    let character = Some(LinuxDeviceType::C);
    let mut rules = vec![
        rule(false, None, None, None, "rwm"),
        rule(true, character, None, None, "m"),
        rule(true, Some(LinuxDeviceType::B), None, None, "m"),
    ];
    // null, zero, full, random, urandom, tty, console, ptmx
    let usable = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
    rules.extend(usable.map(|(major, minor)| rule(true, character, Some(major), Some(minor), "rwm")));
    rules.push(rule(true, character, Some(136), None, "rwm")); // /dev/pts/*
    rules.extend(settings.devices.iter().filter_map(|device| {
        let (major, minor) = device.numbers()?;
        Some(rule(true, character, Some(major), Some(minor), &device.cgroup_permissions))
    }));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::settings::Limits;

    fn image(json: &str) -> ImageConfiguration {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}},"config":{json}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_images_config_fills_what_the_user_left_open() {
        let image = image(r#"{"Cmd":["sh"],"User":"app","WorkingDir":"/srv","Env":["A=1"]}"#);
        let bundle = build(&image, &Settings::default(), "box").unwrap();
        let process = bundle.spec.process().clone().unwrap();
        assert_eq!(process.args().clone().unwrap(), ["sh"]);
        assert_eq!(process.user().username().as_deref(), Some("app"));
        assert_eq!(process.cwd(), &PathBuf::from("/srv"));
        assert!(process.env().clone().unwrap().contains(&"A=1".to_owned()));
        assert_eq!(
            process.capabilities().clone().unwrap().effective().as_ref().map(|c| c.len()),
            Some(0),
            "a user other than root starts without capabilities"
        );
    }

    #[test]
    fn limits_become_cgroup_settings() {
        let settings = Settings {
            limits: Limits {
                memory: Some("64m".parse().unwrap()),
                cpus: Some("1.5".parse().unwrap()),
                ..Limits::default()
            },
            cmd: vec!["true".into()],
            ..Settings::default()
        };
        let bundle = build(&image("{}"), &settings, "box").unwrap();
        let linux = bundle.spec.linux().clone().unwrap();
        let resources = linux.resources().clone().unwrap();
        assert_eq!(resources.memory().unwrap().limit(), Some(64 << 20));
        assert_eq!(resources.cpu().clone().unwrap().quota(), Some(150_000));
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        assert_eq!(
            build(&image("{}"), &Settings::default(), "box").unwrap_err(),
            BundleError::Command(CommandError::Empty)
        );
        let settings =
            Settings { cmd: vec!["true".into()], working_dir: Some("srv".into()), ..Settings::default() };
        assert_eq!(build(&image("{}"), &settings, "box").unwrap_err(), BundleError::WorkingDir("srv".into()));
    }

    #[test]
    fn privileged_lifts_the_guests_restrictions() {
        let settings = Settings { privileged: true, cmd: vec!["true".into()], ..Settings::default() };
        let linux = build(&image("{}"), &settings, "box").unwrap().spec.linux().clone().unwrap();
        assert!(linux.seccomp().is_none());
        assert_eq!(linux.masked_paths().clone().unwrap(), Vec::<String>::new());
    }
}
