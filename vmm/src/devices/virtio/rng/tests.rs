use super::*;
use crate::devices::virtio::device::VirtioDevice;
use crate::devices::virtio::driver::{Driver, NEXT, RAM_BYTES, WRITE};

fn active() -> (Rng, Driver) {
    let (mut rng, driver) = (Rng::new().unwrap(), Driver::new());
    driver.activate(&mut rng, 1 << 32);
    (rng, driver)
}

#[test]
fn buffers_are_filled() {
    let (mut rng, mut driver) = active();
    driver.send(&[(0x10_0000, 64, WRITE), (0x20_0000, 64, WRITE)]);
    rng.serve();
    assert_eq!(driver.used(), [(0, 128)]);
    assert_ne!(driver.read(0x10_0000, 64), driver.read(0x20_0000, 64));
    assert_eq!(driver.read(0x10_0040, 8), [0; 8]);
    assert_eq!(driver.interrupt.pending(), 1);
}

#[test]
fn a_greedy_chain_gets_its_share() {
    let (mut rng, mut driver) = active();
    driver.send(&[(0x10_0000, 32 << 20, WRITE); 3]);
    rng.serve();
    assert_eq!(driver.used(), [(0, MAX_CHAIN_BYTES)]);
    assert_eq!(driver.read(0x10_0000 + u64::from(MAX_CHAIN_BYTES), 8), [0; 8]);
}

#[test]
fn nothing_to_fill_is_answered_with_nothing() {
    let (mut rng, mut driver) = active();
    driver.send(&[(0x10_0000, 64, 0)]);
    driver.send(&[(0x10_0000, 0, WRITE)]);
    rng.serve();
    assert_eq!(driver.used(), [(0, 0), (1, 0)]);
}

#[test]
fn hostile_chains_stop_the_device_and_reset_revives_it() {
    let hostile: [&[(u64, u32, u16, u16)]; 3] = [
        &[(RAM_BYTES - 1, 2, WRITE, 0)],
        &[(0x10_0000, 1, WRITE | NEXT, 0)],
        &[(u64::MAX - 1, u32::MAX, WRITE, 0)],
    ];
    for chain in hostile {
        let (mut rng, mut driver) = active();
        driver.describe(0, chain);
        driver.offer(0);
        rng.serve();
        assert!(driver.interrupt.is_reset_needed());
        assert_eq!(rng.state(), RngState { queue: None });
        rng.reset();
        driver.interrupt.clear();
        let mut driver = Driver::new();
        driver.activate(&mut rng, 1 << 32);
        driver.send(&[(0x10_0000, 64, WRITE)]);
        rng.serve();
        assert_eq!(driver.used(), [(0, 64)]);
    }
}

#[test]
fn its_state_names_the_queue() {
    let (mut rng, mut driver) = active();
    driver.send(&[(0x10_0000, 64, WRITE)]);
    rng.serve();
    let queue = rng.state().queue.unwrap();
    assert_eq!((queue.next_available, queue.next_used), (1, 1));
}
