//! The console and the other ports: bytes written and read anywhere, and lines that say that the kernel panics.

use std::fs;

use holm_protocol::vm_config::{ConsoleConfig, MAX_CONSOLE_LOG_BYTES};
use holm_vmm::devices::console::Console;
use holm_vmm::devices::ports::Ports;

use crate::Target;
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "console",
    run,
    seeds,
    max_bytes: 4096,
    code: &["vmm/src/devices/console/", "vmm/src/devices/ports.rs"],
    words: &[&["Kernel panic - not syncing: ", "BUG: ", "kernel BUG at ", "Oops: "]],
};

const UART: u16 = 0x3f8;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("console");
    let ports = Ports::new(Console::new(&ConsoleConfig::File(path.clone())).unwrap());
    while !input.is_empty() {
        let (kind, port) = (input.u8(), input.u16());
        // Mostly the console.
        let port = if kind & 4 == 0 { UART + port % 8 } else { port };
        if kind & 1 == 0 {
            let text = input.counted();
            // Over and over: a flood.
            for _ in 0..if kind & 2 == 0 { 1 } else { 64 } {
                ports.write(port, text);
            }
        } else {
            ports.read(port, &mut vec![0; usize::from(input.u8())]);
        }
    }
    let exit = ports.panicked_or(holm_protocol::vm_exit::VmExit::Reset).to_string();
    assert!(exit.chars().all(|character| !character.is_control()), "what a guest says is printed as it is");
    drop(ports);
    assert!(fs::metadata(path).unwrap().len() <= MAX_CONSOLE_LOG_BYTES, "the console's file grows for ever");
}

fn seeds() -> Vec<Vec<u8>> {
    let say = |output: Output, kind: u8, text: &[u8]| output.u8(kind).u16(0).counted(text);
    let mut seeds = vec![
        say(Output::default(), 0, b"[    0.6] Kernel panic - not syncing: Attempted to kill init!\n").0,
        say(Output::default(), 0, b"Kernel panic - not syncing: \x1b[2J\xff\n").0,
        say(say(Output::default(), 0, b"BUG: unable\n"), 0, b"Kernel panic - not syncing: Fatal exception\n")
            .0,
        say(say(Output::default(), 0, b"Oops: 0000 [#1]\r\nkernel BUG at x\n"), 2, &[b'x'; 600]).0,
    ];
    // As the early console sets the UART up; power-off and reset.
    let registers = [(3, 3), (1, 0), (2, 0), (4, 3), (3, 0x83), (0, 1), (3, 3)];
    let set = |output: Output, (register, value): (u16, u8)| output.u8(0).u16(register).counted(&[value]);
    let set_up = registers.into_iter().fold(Output::default(), set);
    seeds.push(say(set_up.u8(1).u16(5).u8(1), 0, b"ready\n").0);
    for port in [0x64, 0x604, 0x600, 0x80, 0xffff] {
        seeds.push(Output::default().u8(4).u16(port).counted(b"\xfe").u8(5).u16(port).u8(4).0);
    }
    // A loop back, by which the UART hears itself.
    seeds.push(say(set(Output::default(), (4, 0x10)), 2, &[b'y'; 100]).0);
    seeds
}
