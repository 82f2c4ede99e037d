//! The port I/O space: console UART, keyboard controller, power-off port. Everything else reads as all ones and ignores
//! writes, as an empty ISA bus does.
//!
//! Called by every vCPU thread. Only the console has state, behind a lock of its own.

use std::sync::{Mutex, PoisonError};

use holm_protocol::vm_exit::VmExit;

use super::console::{Console, UART_PORTS};
use super::{i8042, power};

/// The port I/O space.
pub struct Ports {
    console: Mutex<Console>,
}

impl Ports {
    /// With this console at the first UART's ports.
    #[must_use]
    pub fn new(console: Console) -> Self {
        Self { console: Mutex::new(console) }
    }

    /// `in` from `port`. A string instruction asks for several values at once, all of one port.
    pub fn read(&self, port: u16, data: &mut [u8]) {
        if port == i8042::COMMAND_PORT {
            data.fill(i8042::STATUS);
        } else if UART_PORTS.contains(&port) {
            let mut console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
            data.fill_with(|| console.read(port));
        } else {
            data.fill(0xff);
        }
    }

    /// `out` to `port`; the VM's end if the guest asked for it.
    pub fn write(&self, port: u16, data: &[u8]) -> Option<VmExit> {
        if port == power::POWER_OFF_PORT {
            return Some(VmExit::PowerOff);
        }
        if port == i8042::COMMAND_PORT && i8042::is_reset(data) {
            return Some(self.panicked_or(VmExit::Reset));
        }
        if UART_PORTS.contains(&port) {
            let mut console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
            for &byte in data {
                console.write(port, byte);
            }
        }
        None
    }

    /// `exit`, unless the guest's kernel has said that it panics: then that is the reason.
    #[must_use]
    pub fn panicked_or(&self, exit: VmExit) -> VmExit {
        let console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        console.panic_message().map_or(exit, |message| VmExit::KernelPanic(message.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use holm_protocol::vm_config::ConsoleConfig;

    use super::*;

    fn ports() -> Ports {
        Ports::new(Console::new(&ConsoleConfig::Off).unwrap())
    }

    #[test]
    fn power_off_and_reset_end_the_vm() {
        assert_eq!(ports().write(0x604, &[0, 0x20]), Some(VmExit::PowerOff));
        assert_eq!(ports().write(0x64, &[0xfe]), Some(VmExit::Reset));
        assert_eq!(ports().write(0x64, &[0xd1]), None);
        assert_eq!(ports().write(0x64, &[]), None);
    }

    #[test]
    fn a_reset_after_a_panic_is_the_panic() {
        let ports = ports();
        assert_eq!(ports.write(0x3f8, b"Kernel panic - not syncing: VFS: no root\r\n"), None);
        assert_eq!(ports.write(0x64, &[0xfe]), Some(VmExit::KernelPanic("VFS: no root".into())));
        assert_eq!(ports.write(0x604, &[0]), Some(VmExit::PowerOff));
    }

    #[test]
    fn nothing_is_behind_other_ports() {
        let mut data = [0; 4];
        ports().read(0xcf8, &mut data);
        assert_eq!(data, [0xff; 4]);
        ports().read(0x64, &mut data);
        assert_eq!(data, [0; 4]);
        for port in 0..=u16::MAX {
            if port != power::POWER_OFF_PORT {
                assert_eq!(ports().write(port, &[0x55; 3]), None);
            }
        }
    }
}
