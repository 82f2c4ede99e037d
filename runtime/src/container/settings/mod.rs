//! What a user may ask of a container: one type per setting, serving the command line (`FromStr`) and the container's
//! record on disk (serde) alike.
//!
//! Parsing is pure. Forms and messages follow Docker's command line.

mod capability_name;
mod cpus;
mod env_var;
mod health_config;
mod label;
mod layer_size;
mod log_config;
mod log_driver;
mod log_rotation;
mod log_tag;
mod memory_size;
mod quantity;
mod restart_policy;
mod signal_name;
mod sysctl;
mod tmpfs_mount;
mod ulimit;

pub use capability_name::{CapabilityName, CapabilityNameError};
pub use cpus::{Cpus, CpusError};
pub use env_var::{EnvFileError, EnvVar, EnvVarError};
pub use health_config::{HealthConfig, parse_health_time};
pub use label::{Label, LabelError, LabelFileError, Labels};
pub use layer_size::{LayerSize, LayerSizeError};
pub use log_config::{LogConfig, LogConfigError, LogOption};
pub use log_driver::{LogDriver, LogDriverError};
pub use log_rotation::{LogRotation, LogRotationError};
pub use log_tag::{Field as LogTagField, LogTag, LogTagError};
pub use memory_size::{MemorySize, MemorySizeError};
pub use restart_policy::{RestartPolicy, RestartPolicyError};
pub use signal_name::{SignalName, SignalNameError};
pub use sysctl::{Sysctl, SysctlError};
pub use tmpfs_mount::{TmpfsMount, TmpfsMountError};
pub use ulimit::{Ulimit, UlimitError};

use serde::{Deserialize, Serialize};

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
    /// `--hostname`; the short id when absent.
    pub hostname: Option<String>,
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
    /// `--tmpfs`.
    pub tmpfs: Vec<TmpfsMount>,
    /// `--ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// `--sysctl`.
    pub sysctls: Vec<Sysctl>,
    /// `-m`.
    pub memory: Option<MemorySize>,
    /// `--cpus`.
    pub cpus: Option<Cpus>,
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
}
