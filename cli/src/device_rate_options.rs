//! The flags of `holm create` and `holm run` that limit how fast a container's disks are.

use clap::Args;
use holm_runtime::container::settings::{DeviceRate, DeviceRates};

/// How fast disks are; a disk is named by where it is mounted in the container, `/` is the writable layer.
#[derive(Debug, Args)]
pub(crate) struct DeviceRateOptions {
    /// Limit read rate (bytes per second) from a disk (/ is the container's writable layer)
    #[arg(long, value_name = "PATH:RATE", value_parser = DeviceRate::parse_bytes)]
    device_read_bps: Vec<DeviceRate>,
    /// Limit read rate (IO per second) from a disk
    #[arg(long, value_name = "PATH:RATE", value_parser = DeviceRate::parse_requests)]
    device_read_iops: Vec<DeviceRate>,
    /// Limit write rate (bytes per second) to a disk
    #[arg(long, value_name = "PATH:RATE", value_parser = DeviceRate::parse_bytes)]
    device_write_bps: Vec<DeviceRate>,
    /// Limit write rate (IO per second) to a disk
    #[arg(long, value_name = "PATH:RATE", value_parser = DeviceRate::parse_requests)]
    device_write_iops: Vec<DeviceRate>,
}

impl DeviceRateOptions {
    /// As the settings have them.
    pub(crate) fn rates(self) -> DeviceRates {
        DeviceRates {
            read_bps: self.device_read_bps,
            write_bps: self.device_write_bps,
            read_iops: self.device_read_iops,
            write_iops: self.device_write_iops,
        }
    }
}
