//! The entropy device: chains of any shape, and never more than a chain's share of random bytes.

use holm_vmm::devices::virtio::rng::Rng;

use crate::Target;
use crate::guest::{Guest, SeedPart, hostile};
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "rng_queue",
    run,
    seeds,
    max_bytes: 2048,
    code: &["vmm/src/devices/virtio/rng/", "virtio/ring.rs", "virtio/serve.rs"],
    words: &[],
};

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let features = input.u64();
    Guest::new(Rng::new().unwrap(), features).run(&mut input, &mut |_| {});
}

fn seeds() -> Vec<Vec<u8>> {
    let start = |features| Output::default().u64(features);
    let mut seeds = hostile(&start(u64::MAX), 1);
    seeds.push(start(0).chain(0, &[SeedPart::Room(64)]).0);
    seeds.push(start(u64::MAX).chain(0, &[SeedPart::Room(1), SeedPart::Room(0), SeedPart::Room(9000)]).0);
    // The same memory over and over: a chain that asks for gigabytes.
    seeds.push(start(0).chain(0, &[SeedPart::Raw(0x1_0000, 0xffff, 2); 11]).0);
    seeds
}
