//! The registers in front of any device: every store and load, at any offset, of any width, in any order.

use holm_vmm::devices::virtio::balloon::Balloon;

use crate::Target;
use crate::guest::{Guest, step};
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "registers",
    run,
    seeds,
    max_bytes: 2048,
    code: &["vmm/src/devices/virtio/mmio/", "virtio/interrupt.rs"],
    words: &[],
};

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut guest = Guest::new(Balloon::new().unwrap(), u64::MAX);
    while !input.is_empty() {
        let (offset, value, width) = (input.u16(), input.u32(), input.u8());
        let rest = Output::default().u8(step::WRITE_REGISTER).u16(offset).u32(value).u8(width % 16).0;
        guest.step(&mut Input::new(&rest), &mut |_| {});
        let read = Output::default().u8(step::READ_CONFIG).u16(offset).u8(width).0;
        guest.step(&mut Input::new(&read), &mut |_| {});
    }
    guest.finish();
}

fn seeds() -> Vec<Vec<u8>> {
    let set = |output: Output, register: u16, value: u32| output.u16(register).u32(value).u8(4);
    let begin = || [0, 1, 3].into_iter().fold(Output::default(), |output, status| set(output, 0x70, status));
    let negotiated = |output, low, high| {
        let output = set(set(set(set(output, 0x24, 0), 0x20, low), 0x24, 1), 0x20, high);
        set(output, 0x70, 11)
    };
    let queue = |output, index, size, address| {
        [
            (0x30, index),
            (0x38, size),
            (0x80, address),
            (0x90, address + 0x1000),
            (0xa0, address + 0x2000),
            (0x44, 1),
        ]
        .into_iter()
        .fold(output, |output, (register, value)| set(output, register, value))
    };
    let ready = |output| set(set(set(output, 0x70, 15), 0x50, 2), 0x64, 3);
    let mut seeds = Vec::new();
    for (low, high) in [(0, 1), (u32::MAX, u32::MAX), (1 << 5, 1), (0, 0), (1 << 29, 1)] {
        for (size, address) in
            [(16, 0), (0, 0), (100, 0), (512, 0), (16, 0x2_0000), (16, 1), (16, u32::MAX - 0x3000)]
        {
            let output = negotiated(begin(), low, high);
            let output = queue(queue(queue(output, 0, size, address), 1, size, address), 2, size, address);
            seeds.push(ready(output).0);
        }
    }
    seeds.push(ready(queue(begin(), 9, 16, 0)).0);
    seeds
}
