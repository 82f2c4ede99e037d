//! What a user may ask of a container: one type per setting, serving the command line (`FromStr`) and the container's
//! record on disk (serde) alike.
//!
//! Parsing is pure. Forms and messages follow Docker's command line.

mod capability_name;
mod cpu_list;
mod cpu_period;
mod cpu_quota;
mod cpu_shares;
mod cpus;
mod device_rate;
mod env_var;
mod extra_host;
mod guest_device;
mod health_config;
mod label;
mod layer_size;
mod limits;
mod log_config;
mod log_driver;
mod log_rotation;
mod log_tag;
mod memory_size;
mod mount;
mod mount_request;
mod network_connection;
mod network_mode;
mod network_rate;
mod port_mapping;
mod quantity;
mod restart_policy;
mod shm_size;
mod signal_name;
mod swap_limit;
mod sysctl;
mod tmpfs_mount;
mod ulimit;

pub use capability_name::{CapabilityName, CapabilityNameError};
pub use cpu_list::{CpuList, CpuListError};
pub use cpu_period::{CpuPeriod, CpuPeriodError};
pub use cpu_quota::{CpuQuota, CpuQuotaError};
pub use cpu_shares::{CpuShares, CpuSharesError};
pub use cpus::{Cpus, CpusError};
pub use device_rate::{DeviceRate, DeviceRateError, DeviceRates};
pub use env_var::{EnvFileError, EnvVar, EnvVarError};
pub use extra_host::{ExtraHost, ExtraHostError, parse_resolver_word};
pub use guest_device::{GuestDevice, GuestDeviceError, is_guests};
pub use health_config::{HealthConfig, parse_health_time};
pub use label::{Label, LabelError, LabelFileError, Labels};
pub use layer_size::{LayerSize, LayerSizeError};
pub use limits::{Limits, LimitsError};
pub use log_config::{LogConfig, LogConfigError, LogOption};
pub use log_driver::{LogDriver, LogDriverError};
pub use log_rotation::{LogRotation, LogRotationError};
pub use log_tag::{Field as LogTagField, LogTag, LogTagError};
pub use memory_size::{MemorySize, MemorySizeError};
pub use mount::{Mount, MountKind};
pub use mount_request::{MountFlag, MountRequest, MountRequestError, MountSource, VolumeFlag, VolumesFrom};
pub use network_connection::{NetworkConnection, NetworkFlag, NetworkFlagError};
pub use network_mode::{NetworkMode, NetworkModeError};
pub use network_rate::{NetworkRate, NetworkRateError};
pub use port_mapping::{PortMapping, PortMappingError, PortMappings, Protocol, parse_exposed};
pub use restart_policy::{RestartPolicy, RestartPolicyError};
pub use shm_size::{ShmSize, ShmSizeError};
pub use signal_name::{SignalName, SignalNameError};
pub use swap_limit::{SwapLimit, SwapLimitError};
pub use sysctl::{Sysctl, SysctlError};
pub use tmpfs_mount::{TmpfsMount, TmpfsMountError};
pub use ulimit::{Ulimit, UlimitError};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::durable::Durability;

use crate::network::MacAddress;

/// Everything that `holm create` and `holm run` take beside the image; what is `None` or empty comes from the image or
/// from Docker's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    /// `--entrypoint`; an empty string clears the image's.
    pub entrypoint: Option<String>,
    /// The words after the image.
    pub cmd: Vec<String>,
    /// `-e` and `--env-file`, in order; later ones win.
    pub env: Vec<EnvVar>,
    /// `-w`.
    pub working_dir: Option<String>,
    /// `-u`: `name|uid[:group|gid]`, resolved in the guest.
    pub user: Option<String>,
    /// `--group-add`: names or numbers, resolved in the guest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// `--hostname`; the short id when absent.
    pub hostname: Option<String>,
    /// `--domainname`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// `--health-*` over the image's, as it was when the container was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// `-l` and `--label-file`, over those that the image had when the container was made.
    pub labels: Labels,
    /// `--annotation`.
    pub annotations: Labels,
    /// `-t`.
    pub tty: bool,
    /// `-i`.
    pub open_stdin: bool,
    /// `--rm`.
    pub auto_remove: bool,
    /// `--init`.
    pub init: bool,
    /// `--privileged`: inside the guest only.
    pub privileged: bool,
    /// `--read-only`.
    pub read_only_rootfs: bool,
    /// `--security-opt no-new-privileges`.
    pub no_new_privileges: bool,
    /// `--cap-add`.
    pub cap_add: Vec<CapabilityName>,
    /// `--cap-drop`.
    pub cap_drop: Vec<CapabilityName>,
    /// `-v`, `--mount`, `--volumes-from` and the image's volumes, in that order.
    pub mounts: Vec<Mount>,
    /// `--tmpfs`.
    pub tmpfs: Vec<TmpfsMount>,
    /// `--device`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<GuestDevice>,
    /// `--oom-score-adj`: among the processes of the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i16>,
    /// `--ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// `--sysctl`.
    pub sysctls: Vec<Sysctl>,
    /// What it may use, as long as nobody changes it.
    #[serde(flatten)]
    pub limits: Limits,
    /// `--vm-memory`: the VM has at least this much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_memory: Option<MemorySize>,
    /// `--vm-cpus`: the VM has at least as many virtual CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_cpus: Option<u8>,
    /// Whether its VM boots, template or not.
    pub cold: bool,
    /// `--device-read-bps` and the like.
    #[serde(skip_serializing_if = "DeviceRates::is_empty")]
    pub device_rates: DeviceRates,
    /// `--shm-size`.
    pub shm_size: ShmSize,
    /// `--storage-opt size=`.
    pub layer_size: LayerSize,
    /// `--log-driver` and `--log-opt`.
    pub log_config: LogConfig,
    /// `--restart`.
    pub restart: RestartPolicy,
    /// `--stop-signal`; the image's or SIGTERM when absent.
    pub stop_signal: Option<SignalName>,
    /// `--stop-timeout` in seconds; 10 when absent, -1 waits for ever.
    pub stop_timeout_s: Option<i32>,
    /// `--network`.
    pub network: NetworkMode,
    /// `--ip`.
    pub ip: Option<Ipv4Addr>,
    /// `--ip6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip6: Option<Ipv6Addr>,
    /// `--mac-address`.
    pub mac_address: Option<MacAddress>,
    /// `--network-alias`.
    pub network_aliases: Vec<String>,
    /// The second `--network` and those after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_networks: Vec<NetworkConnection>,
    /// `--net-rate-in`: to each interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_rate_in: Option<NetworkRate>,
    /// `--net-rate-out`: from each interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_rate_out: Option<NetworkRate>,
    /// `-p`, and what `-P` made of the image's exposed ports.
    pub ports: Vec<PortMapping>,
    /// `--dns`; the host's when empty.
    pub dns: Vec<IpAddr>,
    /// `--dns-search`.
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    pub dns_options: Vec<String>,
    /// `--add-host`.
    pub extra_hosts: Vec<ExtraHost>,
}

impl Settings {
    /// These settings with other limits, and the rates that those change.
    #[must_use]
    pub fn limited(&self, limits: Limits) -> Self {
        let rate = |now: Option<NetworkRate>, before: Option<NetworkRate>| {
            now.or(before).filter(|rate| rate.bytes_per_s().is_some())
        };
        Self {
            net_rate_in: rate(limits.net_rate_in, self.net_rate_in),
            net_rate_out: rate(limits.net_rate_out, self.net_rate_out),
            device_rates: self.device_rates.changed(&limits.device_rates).limiting(),
            limits,
            ..self.clone()
        }
    }

    /// What of the container's record must be there after a power cut: with --rm nothing, as in Docker, whose daemon removes such
    /// containers when it starts. But who has volumes may have some that must go with it, and is asked for them.
    #[must_use]
    pub fn durability(&self) -> Durability {
        if self.auto_remove && self.mounts.is_empty() { Durability::OneLife } else { Durability::Lasting }
    }

    /// All networks that were asked for, in order; the first one's name is the network mode.
    #[must_use]
    pub fn connections(&self) -> Vec<NetworkConnection> {
        let first = self.network.network().map(|network| NetworkConnection {
            network: network.to_owned(),
            ip: self.ip,
            ip6: self.ip6,
            mac_address: self.mac_address,
            aliases: self.network_aliases.clone(),
        });
        first.into_iter().chain(self.more_networks.iter().cloned()).collect()
    }
}
