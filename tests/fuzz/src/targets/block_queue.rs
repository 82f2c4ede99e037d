//! The block device: its queue, requests and registers, on a disk of two files, writable, read-only or slow.

use std::fs;
use std::num::NonZeroU64;

use holm_protocol::vm_config::{DiskConfig, DiskRates, SegmentConfig};
use holm_vmm::devices::virtio::block::Block;

use crate::Target;
use crate::guest::{Guest, SeedPart, hostile};
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "block_queue",
    run,
    seeds,
    max_bytes: 4096,
    code: &["vmm/src/devices/virtio/block/"],
    words: &[],
};

const FILE_BYTES: usize = 5 * 512;
const READ_ONLY: u8 = 1;
const SLOW: u8 = 2;
const INDIRECT: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;
const FLUSH: u64 = 1 << 9;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (kind, features) = (input.u8(), input.u64());
    let is_read_only = kind & READ_ONLY != 0;
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    let contents = [[0xa1_u8; FILE_BYTES], [0xb2; FILE_BYTES]];
    for (path, content) in paths.iter().zip(&contents) {
        fs::write(path, content).unwrap();
    }
    // The first file's first sector and the second's last one are not the disk's.
    let segments = vec![
        SegmentConfig { path: paths[0].clone(), offset_bytes: 512, length_bytes: 2048 },
        SegmentConfig { path: paths[1].clone(), offset_bytes: 0, length_bytes: 2048 },
    ];
    let slow = (kind & SLOW != 0).then_some(NonZeroU64::MIN);
    let rates = DiskRates { write_bytes_per_s: slow, read_requests_per_s: slow, ..DiskRates::default() };
    let config = DiskConfig { id: "layer-1".into(), read_only: is_read_only, segments, rates };
    let block = Block::new(&config).unwrap();
    Guest::new(block, features).run(&mut input, &mut |_| {});
    let found = paths.map(|path| fs::read(path).unwrap());
    if is_read_only {
        assert!(found[0] == contents[0] && found[1] == contents[1], "a read-only disk was written");
    }
    assert_eq!((found[0].len(), found[1].len()), (FILE_BYTES, FILE_BYTES), "the disk's length changed");
    assert!(found[0][..512] == contents[0][..512] && found[1][2048..] == contents[1][2048..]);
}

fn seeds() -> Vec<Vec<u8>> {
    let start = |kind| Output::default().u8(kind).u64(INDIRECT | EVENT_IDX | FLUSH | 1 << 13 | 1 << 14);
    let request = |output: Output, kind: u32, sector: u64, parts: &[SeedPart<'_>]| {
        let header = Output::default().u32(kind).u32(0).u64(sector).0;
        let whole = [&[SeedPart::Data(&header)], parts, &[SeedPart::Room(1)]].concat();
        output.chain(0, &whole)
    };
    let range = Output::default().u64(2).u32(3).u32(0).0;
    let unmap = Output::default().u64(0).u32(8).u32(1).0;
    let everything = |kind| {
        let output = request(start(kind), 0, 3, &[SeedPart::Room(1024)]);
        let output = request(output, 1, 1, &[SeedPart::Data(&[7; 600]), SeedPart::Data(&[8; 424])]);
        let output = request(output, 4, 0, &[]);
        let output = request(output, 8, 0, &[SeedPart::Room(20)]);
        let output = request(output, 11, 0, &[SeedPart::Data(&range)]);
        let output = request(output, 13, 0, &[SeedPart::Data(&[range.clone(), unmap.clone()].concat())]);
        request(output, 0, 8, &[SeedPart::Room(512)]).0
    };
    let mut seeds: Vec<Vec<u8>> = [0, READ_ONLY, SLOW].map(everything).into();
    seeds.extend((0..16).map(|kind| request(start(0), kind, 1, &[SeedPart::Data(&range)]).0));
    seeds
        .push(start(0).chain(0, &[SeedPart::Data(&[0; 5]), SeedPart::Data(&[0; 11]), SeedPart::Room(513)]).0);
    seeds.extend(hostile(&start(0), 1));
    seeds
}
