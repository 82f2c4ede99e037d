//! The kernel command line.
//!
//! Values from the configuration were checked to be printable words (`VmConfig::check`), so they cannot split into more
//! arguments. They come last, where Linux lets them win.

use holm_protocol::vm_config::{ConsoleConfig, VmConfig};
use holm_protocol::vm_control::DevicePlace;

/// What every guest gets (guest-kernel/README.md has the measurements).
///
/// - `reboot=k`: reset through the i8042 port, which the VMM watches. `panic=-1`: reset at once after a panic.
/// - `earlyprintk`: the only console; kept, so that a panic is always heard.
/// - `tsc=reliable`: no watchdog over a clock that the host vouches for.
/// - `swiotlb=noforce`: no bounce buffers, which virtio-mmio never needs.
const ALWAYS: [&str; 5] =
    ["earlyprintk=serial,ttyS0,115200,keep", "reboot=k", "panic=-1", "tsc=reliable", "swiotlb=noforce"];

/// Critical messages and worse: nothing is printed in a good start, "kernel BUG at" is, and an oops or a panic raises the
/// level by itself. It has to come before the console, which otherwise prints all that was logged so far, byte by byte, each
/// a way out of the guest and back.
const QUIET: &str = "loglevel=3";
/// Everything.
const VERBOSE: &str = "loglevel=8";

/// The command line for this configuration, with vsock at that place.
#[must_use]
pub fn assemble(config: &VmConfig, vsock: Option<DevicePlace>) -> String {
    let level = if config.console == ConsoleConfig::Off { QUIET } else { VERBOSE };
    let mut words: Vec<String> = [level].iter().chain(&ALWAYS).map(ToString::to_string).collect();
    words
        .extend(vsock.iter().map(|p| format!("virtio_mmio.device=4K@{:#x}:{}:{}", p.address, p.gsi, p.slot)));
    words.extend(config.boot.cmdline.iter().cloned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use holm_protocol::vm_config::{BootConfig, JailConfig, VSOCK_SLOT};

    use super::*;
    use crate::layout;

    fn config(console: ConsoleConfig) -> VmConfig {
        VmConfig {
            vcpus: 1,
            memory_mib: 128,
            told_memory_mib: 0,
            boot: BootConfig {
                kernel: "/k".into(),
                initramfs: "/i".into(),
                cmdline: vec!["holm.x=1".into(), "quiet".into()],
            },
            template: None,
            disks: vec![],
            shares: vec![],
            more_shares: false,
            networks: vec![],
            vsock: None,
            console,
            control_fd: None,
            jail: JailConfig::default(),
        }
    }

    #[test]
    fn the_configs_words_come_last() {
        let line = assemble(&config(ConsoleConfig::Off), Some(DevicePlace::of_slot(VSOCK_SLOT)));
        assert!(line.ends_with(" virtio_mmio.device=4K@0xd0000000:5:0 holm.x=1 quiet"));
    }

    #[test]
    fn the_level_is_set_before_the_console() {
        let line = assemble(&config(ConsoleConfig::Off), None);
        assert!(line.starts_with("loglevel=3 "));
    }

    #[test]
    fn a_console_shows_everything() {
        assert!(assemble(&config(ConsoleConfig::Stderr), None).contains("loglevel=8"));
    }

    #[test]
    fn the_largest_machine_leaves_room_for_arguments() {
        let vsock = Some(DevicePlace::of_slot(VSOCK_SLOT));
        assert!(assemble(&config(ConsoleConfig::Off), vsock).len() < layout::CMDLINE_MAX_BYTES / 2);
    }
}
