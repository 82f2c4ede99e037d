//! The balloon: reports of free pages, which are given back to the host, and nothing else is.

use holm_vmm::devices::virtio::balloon::Balloon;

use crate::Target;
use crate::guest::{Guest, SeedPart, hostile};
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "balloon_queue",
    run,
    seeds,
    max_bytes: 2048,
    code: &["vmm/src/devices/virtio/balloon/"],
    words: &[],
};

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let features = input.u64();
    Guest::new(Balloon::new().unwrap(), features).run(&mut input, &mut |_| {});
}

fn seeds() -> Vec<Vec<u8>> {
    let start = |features| Output::default().u64(features);
    let mut seeds = hostile(&start(u64::MAX), 3);
    for queue in 0..3 {
        seeds.push(start(u64::MAX).chain(queue, &[SeedPart::Data(&[0; 4096]), SeedPart::Room(9000)]).0);
        seeds.push(start(0).chain(queue, &[SeedPart::Raw(0x1_0000, 0x1_0000, 2)]).0);
    }
    // Over the end of a piece of memory, and a whole one.
    seeds.push(start(u64::MAX).chain(2, &[SeedPart::Raw(0x1_f000, 0x2000, 2)]).0);
    seeds.push(start(u64::MAX).chain(2, &[SeedPart::Raw(0x3_0000, 0x1_0000, 2), SeedPart::Room(100)]).0);
    seeds
}
