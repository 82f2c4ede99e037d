use std::fs;

use super::*;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::driver::{Driver, NEXT, RAM_BYTES, WRITE};

const MIB: u64 = 1 << 20;
/// VIRTIO_F_VERSION_1 and VIRTIO_BALLOON_F_PAGE_REPORTING.
const FEATURES: u64 = 1 << 32 | 1 << 5;

/// A device with its inflate and its reporting queue.
fn active() -> (Balloon, Driver, Driver) {
    let (mut balloon, inflate) = (Balloon::new().unwrap(), Driver::new());
    let deflate = inflate.of_next_queue();
    let reporting = deflate.of_next_queue();
    inflate.activate_with(&mut balloon, FEATURES, &[&deflate, &reporting]);
    (balloon, inflate, reporting)
}

/// Resident memory of the mapping in which `address` lies, in KiB.
fn resident_kib(driver: &Driver, address: u64) -> u64 {
    use crate::memory::{GuestAddress, GuestMemory};
    let host = driver.memory.get_host_address(GuestAddress(address)).unwrap().addr() as u64;
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut is_it = false;
    for line in smaps.lines() {
        let bounds = line.split(' ').next().and_then(|word| word.split_once('-'));
        let bound = |text| u64::from_str_radix(text, 16).ok();
        if let Some((start, end)) = bounds.and_then(|(start, end)| Some((bound(start)?, bound(end)?))) {
            is_it = (start..end).contains(&host);
        }
        if let Some(rss) = line.strip_prefix("Rss:").filter(|_| is_it) {
            return rss.trim().trim_end_matches(" kB").parse().unwrap();
        }
    }
    panic!("no mapping at {host:#x}");
}

#[test]
fn reported_memory_is_the_hosts_again_and_its_neighbours_stay() {
    let (mut balloon, _, mut reporting) = active();
    let page = vec![7; 4096];
    for at in (8 * MIB..40 * MIB).step_by(4096) {
        reporting.write(at, &page);
    }
    let before = resident_kib(&reporting, 8 * MIB);
    reporting.send(&[
        (10 * MIB, u32::try_from(16 * MIB).unwrap(), WRITE),
        (30 * MIB, u32::try_from(8 * MIB).unwrap(), WRITE),
    ]);
    balloon.serve();
    assert_eq!(reporting.used(), [(0, 0)]);
    assert_eq!(reporting.interrupt.pending(), 1);
    let after = resident_kib(&reporting, 8 * MIB);
    assert!(before - after >= 23 * 1024, "{before} KiB, then {after} KiB");
    for (address, byte) in
        [(10 * MIB - 1, 7), (10 * MIB, 0), (26 * MIB - 1, 0), (26 * MIB, 7), (30 * MIB, 0), (38 * MIB, 7)]
    {
        assert_eq!(reporting.read(address, 1), [byte], "{address:#x}");
    }
}

#[test]
fn only_whole_pages_are_discarded() {
    let (mut balloon, _, mut reporting) = active();
    reporting.write(8 * MIB, &[7; 3 * 4096]);
    reporting.send(&[(8 * MIB + 1, 2 * 4096, WRITE), (8 * MIB, 100, WRITE), (9 * MIB, 0, WRITE)]);
    balloon.serve();
    assert_eq!(reporting.used().len(), 1);
    for (offset, byte) in [(4095, 7), (4096, 0), (2 * 4096 - 1, 0), (2 * 4096, 7)] {
        assert_eq!(reporting.read(8 * MIB + offset, 1), [byte], "{offset}");
    }
}

#[test]
fn what_is_only_readable_or_inflated_stays() {
    let (mut balloon, mut inflate, mut reporting) = active();
    reporting.write(8 * MIB, &[7; 4096]);
    reporting.send(&[(8 * MIB, 4096, 0)]);
    let page_number = u32::try_from(8 * MIB / 4096).unwrap();
    inflate.write(20 * MIB, &page_number.to_le_bytes());
    inflate.send(&[(20 * MIB, 4, 0)]);
    balloon.serve();
    assert_eq!((inflate.used(), reporting.used()), (vec![(0, 0)], vec![(0, 0)]));
    assert_eq!(reporting.read(8 * MIB, 1), [7]);
}

#[test]
fn hostile_reports_stop_the_device_and_reset_revives_it() {
    let hostile: [&[(u64, u32, u16, u16)]; 4] = [
        &[(RAM_BYTES - 4096, 8192, WRITE, 0)],
        &[(RAM_BYTES, 4096, WRITE, 0)],
        &[(u64::MAX - 4095, u32::MAX, WRITE, 0)],
        &[(8 * MIB, 4096, WRITE | NEXT, 0)],
    ];
    for chain in hostile {
        let (mut balloon, _, mut reporting) = active();
        reporting.write(8 * MIB, &[7]);
        reporting.describe(0, chain);
        reporting.offer(0);
        balloon.serve();
        assert!(reporting.interrupt.is_reset_needed(), "{chain:?}");
        assert_eq!(balloon.state(), BalloonState { queues: vec![] });
        assert_eq!(reporting.read(8 * MIB, 1), [7]);
        balloon.reset();
        balloon.serve();
    }
}

#[test]
fn a_driver_that_wants_reports_has_a_queue_for_them() {
    let (mut balloon, driver) = (Balloon::new().unwrap(), Driver::new());
    let activation = Activation {
        memory: driver.memory.clone(),
        queues: vec![],
        interrupt: driver.interrupt.clone(),
        features: FEATURES,
    };
    assert_eq!(balloon.activate(activation), Err(ActivateError::QueueNotReady(2)));
}

#[test]
fn its_state_names_the_queues() {
    let (mut balloon, _, mut reporting) = active();
    reporting.send(&[(8 * MIB, 4096, WRITE)]);
    balloon.serve();
    let queues = balloon.state().queues;
    let progress: Vec<_> =
        queues.iter().flatten().map(|queue| (queue.next_available, queue.next_used)).collect();
    assert_eq!(progress, [(0, 0), (0, 0), (1, 1)]);
}
