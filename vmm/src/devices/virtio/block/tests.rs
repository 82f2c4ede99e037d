//! Requests as drivers send them, and as nobody should, through a real queue onto real files.

use std::fs::{self, File};
use std::io::Write;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use holm_protocol::vm_config::{DiskConfig, DiskRates, SegmentConfig};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::devices::virtio::device::VirtioDevice;
use crate::devices::virtio::driver::{Driver, INDIRECT, NEXT, RAM_BYTES, WRITE};

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;

const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;

const VERSION_1: u64 = 1 << 32;
const FLUSHABLE: u64 = VERSION_1 | 1 << 9;

/// Where the tests put things in guest memory.
const HEADER: u64 = 0x10_0000;
const DATA: u64 = 0x20_0000;
const STATUS: u64 = 0x18_0000;
const NOT_WRITTEN: u8 = 0xee;

struct Bench {
    block: Block,
    driver: Driver,
    directory: TempDir,
}

/// A disk of two segments: 4 sectors of a file of `0xa1`, from its second sector on; 4 sectors of a file of `0xb2`.
fn config(directory: &TempDir, read_only: bool) -> DiskConfig {
    let segment = |name: &str, fill: u8, sectors: usize, offset_bytes, length_bytes| {
        let path = directory.path().join(name);
        File::create(&path).unwrap().write_all(&vec![fill; sectors * 512]).unwrap();
        SegmentConfig { path, offset_bytes, length_bytes }
    };
    let segments = vec![segment("a", 0xa1, 5, 512, 2048), segment("b", 0xb2, 4, 0, 2048)];
    DiskConfig { id: "layer-1".into(), read_only, segments, rates: DiskRates::default() }
}

impl Bench {
    fn with(directory: TempDir, config: &DiskConfig, features: u64) -> Self {
        let (mut block, driver) = (Block::new(config).unwrap(), Driver::new());
        driver.activate(&mut block, features);
        driver.write(STATUS, &[NOT_WRITTEN]);
        Self { block, driver, directory }
    }

    fn new(read_only: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory, read_only);
        Self::with(directory, &config, FLUSHABLE)
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.path().join(name)).unwrap()
    }

    fn header(&self, kind: u32, sector: u64) {
        self.driver.write(HEADER, &kind.to_le_bytes());
        self.driver.write(HEADER + 4, &[0; 4]);
        self.driver.write(HEADER + 8, &sector.to_le_bytes());
    }

    /// Sends header, data buffers and status; the status byte that came back.
    fn request(&mut self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) -> u8 {
        self.header(kind, sector);
        let mut buffers = vec![(HEADER, 16, 0)];
        buffers.extend(data);
        buffers.push((STATUS, 1, WRITE));
        self.send(&buffers)
    }

    fn send(&mut self, buffers: &[(u64, u32, u16)]) -> u8 {
        self.driver.write(STATUS, &[NOT_WRITTEN]);
        self.driver.send(buffers);
        self.block.serve();
        self.driver.read(STATUS, 1)[0]
    }

    fn is_broken(&self) -> bool {
        self.driver.interrupt.is_reset_needed() && self.block.state().queue.is_none()
    }
}

#[test]
fn reads_cross_segments_and_buffers() {
    let mut bench = Bench::new(true);
    assert_eq!(bench.request(IN, 3, &[(DATA, 700, WRITE), (DATA + 0x1000, 324, WRITE)]), OK);
    assert_eq!(bench.driver.read(DATA, 700), [vec![0xa1; 512], vec![0xb2; 188]].concat());
    assert_eq!(bench.driver.read(DATA + 0x1000, 325), [vec![0xb2; 324], vec![0]].concat());
    assert_eq!(bench.driver.used(), [(0, 1025)]);
    assert_eq!(bench.driver.interrupt.pending(), 1);
}

#[test]
fn writes_go_where_they_belong_and_nowhere_else() {
    let mut bench = Bench::new(false);
    bench.driver.write(DATA, &[0xcc; 1024]);
    assert_eq!(bench.request(OUT, 3, &[(DATA, 1024, 0)]), OK);
    assert_eq!(bench.file("a"), [vec![0xa1; 2048], vec![0xcc; 512]].concat());
    assert_eq!(bench.file("b"), [vec![0xcc; 512], vec![0xb2; 1536]].concat());
    assert_eq!(bench.request(FLUSH, 0, &[]), OK);
}

#[test]
fn header_data_and_status_may_be_cut_anywhere() {
    let mut bench = Bench::new(false);
    bench.header(OUT, 0);
    bench.driver.write(HEADER + 16, &[0xdd; 512]);
    bench.driver.write(STATUS, &[NOT_WRITTEN]);
    let status = bench.send(&[
        (HEADER, 5, 0),
        (HEADER + 5, 0, 0),
        (HEADER + 5, 20, 0),
        (HEADER + 25, 503, 0),
        (STATUS, 1, WRITE),
    ]);
    assert_eq!(status, OK);
    assert_eq!(bench.file("a")[512..1024], [0xdd; 512]);
    // Data and status in one buffer.
    bench.header(IN, 0);
    bench.driver.write(DATA + 512, &[NOT_WRITTEN]);
    bench.send(&[(HEADER, 16, 0), (DATA, 513, WRITE)]);
    assert_eq!(bench.driver.read(DATA, 513), [vec![0xdd; 512], vec![OK]].concat());
}

#[test]
fn a_read_only_disk_stays_as_it_is() {
    let mut bench = Bench::new(true);
    let before = (bench.file("a"), bench.file("b"));
    bench.driver.write(DATA, &[0; 1024]);
    bench.driver.write(DATA + 8, &4_u32.to_le_bytes());
    assert_eq!(bench.request(OUT, 0, &[(DATA, 512, 0)]), IOERR);
    assert_eq!(bench.request(FLUSH, 0, &[]), IOERR);
    assert_eq!(bench.request(DISCARD, 0, &[(DATA, 16, 0)]), IOERR);
    assert_eq!(bench.request(WRITE_ZEROES, 0, &[(DATA, 16, 0)]), IOERR);
    assert_eq!((bench.file("a"), bench.file("b")), before);
    assert_eq!(bench.block.features() & (1 << 5), 1 << 5);
    assert_eq!(bench.block.features() & (1 << 9 | 1 << 13 | 1 << 14), 0);
}

#[test]
fn a_read_only_segment_ends_in_zeroes() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory, true);
    config.segments[0].length_bytes = 4096;
    let mut bench = Bench::with(directory, &config, VERSION_1);
    bench.driver.write(DATA, &[0x55; 2048]);
    assert_eq!(bench.request(IN, 3, &[(DATA, 2048, WRITE)]), OK);
    assert_eq!(bench.driver.read(DATA, 2048), [vec![0xa1; 512], vec![0; 1536]].concat());
    assert_eq!(bench.request(IN, 8, &[(DATA, 512, WRITE)]), OK);
    assert_eq!(bench.driver.read(DATA, 512), [0xb2; 512]);
}

#[test]
fn requests_that_cannot_be_done_get_their_answer() {
    let mut bench = Bench::new(false);
    let before = (bench.file("a"), bench.file("b"));
    let data = |length| [(DATA, length, 0)];
    let into = |length| [(DATA, length, WRITE)];
    assert_eq!(bench.request(IN, 8, &into(512)), IOERR, "behind the end");
    assert_eq!(bench.request(IN, 7, &into(1024)), IOERR, "across the end");
    assert_eq!(bench.request(IN, u64::MAX / 512, &into(1024)), IOERR, "overflow of the sum");
    assert_eq!(bench.request(IN, u64::MAX, &into(512)), IOERR, "overflow of the product");
    assert_eq!(bench.request(IN, 0, &into(513)), IOERR, "not whole sectors");
    assert_eq!(bench.request(OUT, 8, &data(512)), IOERR);
    assert_eq!(bench.request(OUT, 0, &data(100)), IOERR);
    assert_eq!(bench.request(2, 0, &into(512)), UNSUPP, "SCSI");
    assert_eq!(bench.request(14, 0, &data(16)), UNSUPP, "secure erase");
    assert_eq!(bench.request(u32::MAX, 0, &[]), UNSUPP);
    assert_eq!(bench.send(&[(HEADER, 15, 0), (STATUS, 1, WRITE)]), IOERR, "short header");
    assert_eq!(bench.send(&[(STATUS, 1, WRITE)]), IOERR, "no header");
    assert_eq!((bench.file("a"), bench.file("b")), before);
    // It still works, and each answer was one byte.
    assert_eq!(bench.request(IN, 0, &into(512)), OK);
    let used = bench.driver.used();
    assert!(used[..used.len() - 1].iter().all(|&(_, length)| length == 1), "{used:?}");
}

#[test]
fn a_read_does_not_take_from_a_write() {
    let mut bench = Bench::new(false);
    // Data in the wrong direction is no data at all.
    assert_eq!(bench.request(OUT, 0, &[(DATA, 512, WRITE)]), OK);
    assert_eq!(bench.file("a"), [0xa1; 2560]);
    bench.driver.write(DATA, &[0x77; 512]);
    assert_eq!(bench.request(IN, 0, &[(DATA, 512, 0)]), OK);
    assert_eq!(bench.driver.read(DATA, 512), [0x77; 512]);
}

#[test]
fn chains_without_room_for_an_answer_stop_the_device() {
    for chain in
        [&[(HEADER, 16, 0)][..], &[(HEADER, 16, 0), (DATA, 512, 0)], &[(HEADER, 16, 0), (DATA, 0, WRITE)]]
    {
        let mut bench = Bench::new(false);
        bench.header(IN, 0);
        bench.send(chain);
        assert!(bench.is_broken(), "{chain:?}");
    }
}

#[test]
fn hostile_chains_stop_the_device_and_reset_revives_it() {
    let hostile: [&[(u64, u32, u16, u16)]; 8] = [
        // Loop; pointer behind the table; memory's end crossed; address overflow; readable after writable.
        &[(HEADER, 16, NEXT, 1), (DATA, 512, NEXT, 0)],
        &[(HEADER, 16, NEXT, 64)],
        &[(HEADER, 16, NEXT, 1), (RAM_BYTES - 256, 512, NEXT | WRITE, 2), (STATUS, 1, WRITE, 0)],
        &[(HEADER, 16, NEXT, 1), (u64::MAX - 256, 512, NEXT | WRITE, 2), (STATUS, 1, WRITE, 0)],
        &[(STATUS, 1, WRITE | NEXT, 1), (HEADER, 16, 0, 0)],
        // Status outside memory; nested and outside indirect tables.
        &[(HEADER, 16, NEXT, 1), (RAM_BYTES, 1, WRITE, 0)],
        &[(0, 64 * 16, INDIRECT, 0)],
        &[(RAM_BYTES - 16, 32, INDIRECT, 0)],
    ];
    for chain in hostile {
        let mut bench = Bench::new(false);
        let before = bench.file("a");
        bench.header(IN, 0);
        bench.driver.describe(0, chain);
        bench.driver.offer(0);
        bench.block.serve();
        assert!(bench.is_broken(), "{chain:?}");
        assert_eq!(bench.file("a"), before);
        // Nothing happens until the reset.
        bench.driver.send(&[(HEADER, 16, 0), (DATA, 512, WRITE), (STATUS, 1, WRITE)]);
        bench.block.serve();
        bench.block.reset();
        bench.driver = Driver::new();
        bench.driver.activate(&mut bench.block, FLUSHABLE);
        assert_eq!(bench.request(IN, 0, &[(DATA, 512, WRITE)]), OK);
    }
}

#[test]
fn a_jumping_available_index_stops_the_device() {
    let mut bench = Bench::new(false);
    bench.driver.set_available_index(1000);
    bench.block.serve();
    assert!(bench.is_broken());
}

#[test]
fn a_head_behind_the_table_stops_the_device() {
    let mut bench = Bench::new(false);
    bench.driver.offer(64);
    bench.block.serve();
    assert!(bench.is_broken());
}

#[test]
fn a_request_beyond_its_rate_waits_in_the_queue_until_the_rate_is_another() {
    let directory = tempfile::tempdir().unwrap();
    // The first request empties the bucket for days.
    let rates = DiskRates { write_bytes_per_s: NonZeroU64::new(1), ..DiskRates::default() };
    let config = DiskConfig { rates, ..config(&directory, false) };
    let (mut block, driver) = (Block::new(&config).unwrap(), Driver::new());
    let rates = block.rates();
    driver.activate(&mut block, FLUSHABLE);
    let mut bench = Bench { block, driver, directory };
    bench.driver.write(DATA, &[0xcc; 512]);
    assert_eq!(bench.request(OUT, 0, &[(DATA, 512, 0)]), OK);
    assert_eq!(bench.request(OUT, 1, &[(DATA, 512, 0)]), NOT_WRITTEN);
    bench.block.serve();
    assert_eq!((bench.driver.used().len(), bench.file("a")[1024]), (1, 0xa1));
    rates.set(DiskRates::default());
    bench.block.serve();
    assert_eq!((bench.driver.used().len(), bench.file("a")[1024]), (2, 0xcc));
    // Down again, for a disk that had none.
    rates.set(DiskRates { write_bytes_per_s: NonZeroU64::new(1), ..DiskRates::default() });
    assert_eq!(bench.request(OUT, 2, &[(DATA, 512, 0)]), OK);
    assert_eq!(bench.request(OUT, 3, &[(DATA, 512, 0)]), NOT_WRITTEN);
}

#[test]
fn zeroes_are_written_and_space_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("layer");
    fs::write(&path, vec![0xa1; 1 << 20]).unwrap();
    let segments = vec![SegmentConfig { path: path.clone(), offset_bytes: 0, length_bytes: 1 << 20 }];
    let config = DiskConfig { id: "w".into(), read_only: false, segments, rates: DiskRates::default() };
    let mut bench = Bench::with(directory, &config, FLUSHABLE);
    let range = |sector: u64, sectors: u32, flags: u32| {
        [&sector.to_le_bytes()[..], &sectors.to_le_bytes(), &flags.to_le_bytes()].concat()
    };
    bench.driver.write(DATA, &[range(8, 8, 0), range(32, 64, 1)].concat());
    assert_eq!(bench.request(WRITE_ZEROES, 0, &[(DATA, 32, 0)]), OK);
    let text = fs::read(&path).unwrap();
    assert!(text[..4096].iter().chain(&text[8192..16384]).all(|&b| b == 0xa1));
    assert!(text[4096..8192].iter().chain(&text[16384..49152]).all(|&b| b == 0));
    assert_eq!(text.len(), 1 << 20);

    let before = fs::metadata(&path).unwrap().blocks();
    bench.driver.write(DATA, &range(1024, 1024, 0));
    assert_eq!(bench.request(DISCARD, 0, &[(DATA, 16, 0)]), OK);
    assert!(fs::metadata(&path).unwrap().blocks() < before);
    assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);

    for (kind, ranges, wanted) in [
        (DISCARD, range(0, 8, 1), UNSUPP),
        (WRITE_ZEROES, range(0, 8, 2), UNSUPP),
        (DISCARD, range(2047, 2, 0), IOERR),
        (WRITE_ZEROES, range(u64::MAX, u32::MAX, 0), IOERR),
        (DISCARD, range(0, 8, 0)[..15].to_vec(), IOERR),
        (DISCARD, range(0, 1, 0).repeat(17), IOERR),
        (DISCARD, vec![], IOERR),
        (WRITE_ZEROES, range(5, 0, 0), OK),
    ] {
        bench.driver.write(DATA, &ranges);
        let length = u32::try_from(ranges.len()).unwrap();
        assert_eq!(bench.request(kind, 0, &[(DATA, length, 0)]), wanted, "{kind} {ranges:?}");
    }
}

#[test]
fn the_id_is_told() {
    let mut bench = Bench::new(true);
    bench.driver.write(DATA, &[0xff; 32]);
    assert_eq!(bench.request(GET_ID, 0, &[(DATA, 20, WRITE)]), OK);
    assert_eq!(bench.driver.read(DATA, 21), *b"layer-1\0\0\0\0\0\0\0\0\0\0\0\0\0\xff");
    assert_eq!(bench.request(GET_ID, 0, &[(DATA, 3, WRITE), (DATA + 64, 2, WRITE)]), OK);
    assert_eq!(
        (bench.driver.read(DATA, 3), bench.driver.read(DATA + 64, 2)),
        (b"lay".to_vec(), b"er".to_vec())
    );
    assert_eq!(bench.request(GET_ID, 0, &[]), OK);
}

#[test]
fn the_configuration_space_tells_size_and_limits() {
    let bench = Bench::new(false);
    let read = |offset, length| {
        let mut data = vec![0xff; length];
        bench.block.read_config(offset, &mut data);
        data
    };
    assert_eq!(read(0, 8), 8_u64.to_le_bytes());
    assert_eq!(read(12, 4), 254_u32.to_le_bytes());
    assert_eq!(read(34, 2), [1, 0]);
    assert_eq!(read(56, 8), [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(u64::MAX, 8), [0; 8]);
}

#[test]
fn a_driver_without_flush_gets_stable_writes() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory, false);
    let mut bench = Bench::with(directory, &config, VERSION_1);
    assert!(bench.block.state().write_through);
    assert_eq!(bench.request(OUT, 0, &[(DATA, 512, 0)]), OK);
}

#[test]
fn its_state_survives_json() {
    let mut bench = Bench::new(false);
    bench.request(IN, 0, &[(DATA, 512, WRITE)]);
    let state = bench.block.state();
    assert_eq!((state.id.as_str(), state.length_bytes, state.queue.unwrap().next_used), ("layer-1", 4096, 1));
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<BlockState>(&json).unwrap(), state);
}

#[test]
fn files_that_are_open_make_a_disk() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory, true);
    let files = || config.segments.iter().map(|segment| File::open(&segment.path).unwrap());
    let Err(BlockError::Disk(DiskError::Files(_))) = Block::received(&config, files().skip(1).collect())
    else {
        panic!("one is missing");
    };
    let (mut block, driver) = (Block::received(&config, files().collect()).unwrap(), Driver::new());
    driver.activate(&mut block, VERSION_1);
    let mut bench = Bench { block, driver, directory };
    assert_eq!(bench.request(IN, 3, &[(DATA, 1024, WRITE)]), OK);
    assert_eq!(bench.driver.read(DATA, 1024), [[0xa1; 512], [0xb2; 512]].concat());
}

#[test]
fn files_that_cannot_be_a_disk_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let good = config(&directory, false);
    let refusal = |change: &dyn Fn(&mut DiskConfig)| {
        let mut config = good.clone();
        change(&mut config);
        match Block::new(&config) {
            Err(BlockError::Disk(error)) => error,
            _ => panic!("not refused"),
        }
    };
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(directory.path().join("a"), &link).unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(refusal(&|c| c.segments[0].path = "/nonexistent".into()), DiskError::Open { .. }));
    assert!(matches!(refusal(&|c| c.segments[0].path = link.clone()), DiskError::Open { .. }));
    assert!(matches!(refusal(&|c| c.segments[0].path = fifo.clone()), DiskError::Unsuitable { .. }));
    assert!(matches!(refusal(&|c| c.segments[0].path = "/dev/null".into()), DiskError::Unsuitable { .. }));
    assert!(matches!(refusal(&|c| c.segments[0].length_bytes = 2560), DiskError::BeyondFile { .. }));
    assert!(matches!(refusal(&|c| c.segments[0].offset_bytes = u64::MAX), DiskError::BeyondFile { .. }));
    assert!(matches!(refusal(&|c| c.segments[0].length_bytes = 0), DiskError::Lengths(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever a table and a ring hold: no panic, the disk keeps its length, a read-only disk its bytes.
    #[test]
    fn no_ring_breaks_it(
        descriptors in prop::collection::vec(
            (prop_oneof![Just(HEADER), Just(DATA), Just(0), Just(RAM_BYTES - 1), any::<u64>()],
             prop_oneof![Just(16_u32), Just(512), Just(1), Just(0), any::<u32>()],
             0_u16..8, 0_u16..66),
            1..64),
        heads in prop::collection::vec(0_u16..66, 1..32),
        kind in 0_u32..16, sector in prop_oneof![0_u64..10, any::<u64>()],
        read_only in any::<bool>(),
    ) {
        let mut bench = Bench::new(read_only);
        let before = (bench.file("a"), bench.file("b"));
        bench.header(kind, sector);
        bench.driver.describe(0, &descriptors);
        for head in heads {
            bench.driver.offer(head);
        }
        bench.block.serve();
        bench.block.serve();
        let after = (bench.file("a"), bench.file("b"));
        prop_assert_eq!((before.0.len(), before.1.len()), (after.0.len(), after.1.len()));
        if read_only {
            prop_assert_eq!(before, after);
        }
    }
}
