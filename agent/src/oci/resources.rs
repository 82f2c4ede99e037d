//! config-linux.md, "Control groups". The numbers are cgroup v1's; [`crate::container::cgroup`] converts them.

use std::collections::HashMap;

use serde::Deserialize;

/// Limits of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Resources {
    pub(crate) devices: Vec<DeviceRule>,
    pub(crate) memory: Memory,
    pub(crate) cpu: Cpu,
    pub(crate) pids: Option<Pids>,
    #[serde(rename = "blockIO")]
    pub(crate) block_io: BlockIo,
    pub(crate) hugepage_limits: Vec<HugepageLimit>,
    pub(crate) unified: HashMap<String, String>,
}

/// One rule of the device controller; later rules win.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeviceRule {
    pub(crate) allow: bool,
    /// `a`, `c` or `b`; absent means `a`.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// Absent or negative: any.
    pub(crate) major: Option<i64>,
    pub(crate) minor: Option<i64>,
    /// Of `rwm`; empty means all.
    pub(crate) access: String,
}

/// In bytes; -1 is unlimited.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    pub(crate) limit: Option<i64>,
    pub(crate) reservation: Option<i64>,
    /// Memory and swap together.
    pub(crate) swap: Option<i64>,
}

/// Shares are cgroup v1's (default 1024); times in microseconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cpu {
    pub(crate) shares: Option<u64>,
    pub(crate) quota: Option<i64>,
    pub(crate) burst: Option<u64>,
    pub(crate) period: Option<u64>,
    pub(crate) cpus: String,
    pub(crate) mems: String,
    pub(crate) idle: Option<i64>,
}

/// Number of tasks; 0 or less is unlimited.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Pids {
    pub(crate) limit: i64,
}

/// Weights are cgroup v1's (10 to 1000).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BlockIo {
    pub(crate) weight: Option<u16>,
    pub(crate) throttle_read_bps_device: Vec<ThrottleDevice>,
    pub(crate) throttle_write_bps_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleReadIOPSDevice")]
    pub(crate) throttle_read_iops_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleWriteIOPSDevice")]
    pub(crate) throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// A rate for one device, per second.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct ThrottleDevice {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) rate: u64,
}

/// A limit in bytes for one size of huge pages, `2MB` and so on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HugepageLimit {
    pub(crate) page_size: String,
    pub(crate) limit: u64,
}
