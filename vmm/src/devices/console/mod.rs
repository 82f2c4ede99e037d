//! The console for kernel messages: the first PC UART, as far as Linux' early console uses it.
//!
//! What the guest writes is watched for a panic (`PanicWatch`) and goes to the configured sink (`Sink`), both line by
//! line and both bounded. No interrupt line, no input.

mod line;
mod panic_watch;
mod sink;

use std::io::{self, Write};

use holm_protocol::vm_config::ConsoleConfig;
use vm_superio::Serial;
use vm_superio::Trigger;
use vm_superio::serial::NoEvents;

use line::Line;
use panic_watch::PanicWatch;
use sink::Sink;

pub use sink::ConsoleError;

/// The eight ports of the first UART.
pub const UART_PORTS: std::ops::Range<u16> = 0x3f8..0x400;

/// The UART and what listens to it.
pub struct Console {
    uart: Serial<NoInterrupt, NoEvents, Listener>,
}

impl Console {
    /// Opens the sink.
    ///
    /// # Errors
    /// The console file cannot be made.
    pub fn new(config: &ConsoleConfig) -> Result<Self, ConsoleError> {
        let listener =
            Listener { line: Line::default(), panic: PanicWatch::default(), sink: Sink::open(config)? };
        Ok(Self { uart: Serial::new(NoInterrupt, listener) })
    }

    /// Reads a UART register; `port` is one of [`UART_PORTS`].
    pub fn read(&mut self, port: u16) -> u8 {
        self.uart.read(register(port))
    }

    /// Writes a UART register; `port` is one of [`UART_PORTS`].
    pub fn write(&mut self, port: u16, byte: u8) {
        // Fails only if the listener or the interrupt does, and neither can.
        let _ = self.uart.write(register(port), byte);
    }

    /// What the guest's kernel said when it panicked, if it did.
    #[must_use]
    pub fn panic_message(&self) -> Option<&str> {
        self.uart.writer().panic.message()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.uart.writer_mut().end_of_line();
    }
}

/// The register of a port: its distance from the first one.
fn register(port: u16) -> u8 {
    (port.wrapping_sub(UART_PORTS.start) & 7).to_le_bytes()[0]
}

/// The early console polls.
struct NoInterrupt;

impl Trigger for NoInterrupt {
    type E = std::convert::Infallible;

    fn trigger(&self) -> Result<(), Self::E> {
        Ok(())
    }
}

struct Listener {
    line: Line,
    panic: PanicWatch,
    sink: Sink,
}

impl Listener {
    fn end_of_line(&mut self) {
        let line = self.line.take();
        if !line.is_empty() {
            self.panic.hear(&line);
            self.sink.write(&line);
        }
    }
}

impl Write for Listener {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            if self.line.push(byte) {
                self.end_of_line();
            }
        }
        Ok(bytes.len())
    }

    /// The UART flushes after every byte; the line waits for its end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(console: &mut Console, text: &[u8]) {
        for &byte in text {
            console.write(0x3f8, byte);
        }
    }

    #[test]
    fn the_early_console_finds_a_ready_transmitter() {
        let mut console = Console::new(&ConsoleConfig::Off).unwrap();
        // As early_serial_init does: line control, no interrupts, no FIFO, divisor behind DLAB.
        for (port, value) in [(0x3fb, 3), (0x3f9, 0), (0x3fa, 0), (0x3fc, 3), (0x3fb, 0x83), (0x3f8, 1)] {
            console.write(port, value);
        }
        console.write(0x3fb, 3);
        assert_eq!(console.read(0x3fd) & 0x20, 0x20);
    }

    #[test]
    fn a_file_gets_whole_lines_and_the_rest_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("console");
        let mut console = Console::new(&ConsoleConfig::File(path.clone())).unwrap();
        say(&mut console, b"one\r\ntwo");
        assert_eq!(std::fs::read(&path).unwrap(), b"one\n");
        drop(console);
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn any_register_may_be_written_and_read() {
        let mut console = Console::new(&ConsoleConfig::Off).unwrap();
        for port in UART_PORTS {
            for value in 0..=255 {
                console.write(port, value);
                let _ = console.read(port);
            }
        }
    }
}
