//! Devices that the kernel is told of when it has started, and those that come and go while the guest runs: virtio-mmio has no
//! bus that would notice, so the host tells where they are.
//!
//! A device is named to the kernel as on its command line (a patch lets root write the parameter, see guest-kernel/patches),
//! once for each slot: taking the driver off leaves the kernel's platform device, to which it is put back for the next.

use std::fs;
use std::io;
use std::path::Path;

use holm_protocol::agent::messages::MmioDevice;

const PARAMETER: &str = "/sys/module/virtio_mmio/parameters/device";
const DEVICES: &str = "/sys/bus/platform/devices";
const DRIVER: &str = "/sys/bus/platform/drivers/virtio-mmio";
/// As on the kernel's command line.
const WINDOW: &str = "4K";

/// Lets the kernel find a device. What it makes of it is there when this returns.
pub(crate) fn plug(device: &MmioDevice) -> io::Result<()> {
    let name = name(device.slot);
    if Path::new(DEVICES).join(&name).exists() {
        return fs::write(format!("{DRIVER}/bind"), name);
    }
    fs::write(PARAMETER, format!("{WINDOW}@{:#x}:{}:{}", device.address, device.gsi, device.slot))
}

/// Takes the driver off the device in a slot, and away what the kernel made of it.
pub(crate) fn unplug(slot: u32) -> io::Result<()> {
    fs::write(format!("{DRIVER}/unbind"), name(slot))
}

fn name(slot: u32) -> String {
    format!("virtio-mmio.{slot}")
}
