//! Templates of VMs as files: the state, with a checksum that fits, and devices that go on from it; the description of memory.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};

use event_manager::{EventManager, SubscriberOps};
use holm_protocol::vm_config::{
    DiskConfig, DiskRates, NetworkDevice, NetworkRates, SegmentConfig, VsockConfig,
};
use holm_vmm::devices::virtio::balloon::Balloon;
use holm_vmm::devices::virtio::block::Block;
use holm_vmm::devices::virtio::interrupt::Interrupt;
use holm_vmm::devices::virtio::mmio::{SharedDevice, Transport};
use holm_vmm::devices::virtio::net::{Net, Severed};
use holm_vmm::devices::virtio::rng::Rng;
use holm_vmm::devices::virtio::saved_device::{DeviceState, SavedDevice};
use holm_vmm::devices::virtio::vsock::Vsock;
use holm_vmm::memory::{GuestAddress, GuestRam};
use holm_vmm::template::{self, SavedSlot, Template};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "template",
    run,
    seeds,
    max_bytes: 8192,
    code: &["vmm/src/template/document.rs", "virtio/saved_queue.rs", "virtio/saved_device.rs"],
    words: &[],
};

const MEMORY_BYTES: usize = 1 << 20;
const HEADER_BYTES: usize = 48;
const SUM_AT: usize = 16;

/// The state with the length and the checksum that it must have.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some((header, body)) = bytes.split_at_mut_checked(HEADER_BYTES) {
        header[12..16].copy_from_slice(&(body.len() as u32).to_le_bytes());
        let sum = holm_runtime::image::Digest::of(&[&header[..SUM_AT], body].concat());
        header[SUM_AT..].copy_from_slice(sum.bytes());
    }
    bytes
}

fn run(bytes: &[u8]) {
    let _ = template::decode(bytes);
    let Ok(template) = template::decode(&sealed(bytes)) else { return };
    let encoded = template::encode(&template).unwrap();
    assert!(template::decode(&encoded).is_ok(), "what was read cannot be written and read again");
    // Memory that nobody has is not mapped.
    let ram = || GuestRam::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).unwrap();
    assert!(
        template::map(&ram(), &File::open("/dev/null").unwrap(), &template.memory).is_ok()
            == template.memory.runs.is_empty()
    );
    for saved in template.devices.iter().take(6) {
        go_on(&saved.device, Arc::new(ram()));
    }
}

/// Has a device go on, and work.
fn go_on(saved: &SavedDevice, memory: Arc<GuestRam>) {
    let directory = tempfile::tempdir().unwrap();
    let device: SharedDevice = match &saved.device {
        DeviceState::Vsock(state) => {
            let socket = directory.path().join("vsock");
            let config = VsockConfig { guest_cid: 3, socket, host_ports: Vec::new(), dial_fd: None };
            Arc::new(Mutex::new(Vsock::restore(&config, state).unwrap()))
        }
        DeviceState::Rng(_) => Arc::new(Mutex::new(Rng::new().unwrap())),
        DeviceState::Balloon(_) => Arc::new(Mutex::new(Balloon::new().unwrap())),
        DeviceState::Block(_) => Arc::new(Mutex::new(disk(directory.path()))),
        DeviceState::Net(state) => Arc::new(Mutex::new(network(state.mac, state.mtu, state.pairs.min(8)))),
    };
    let mut manager = EventManager::new().unwrap();
    manager.add_subscriber(Arc::clone(&device));
    let Ok(mut transport) = Transport::restored(device, memory, Interrupt::new().unwrap(), saved) else {
        return;
    };
    for queue in 0..3_u32 {
        transport.write(0x50, &queue.to_le_bytes());
        for _ in 0..64 {
            if manager.run_with_timeout(0).unwrap() == 0 {
                break;
            }
        }
    }
    assert!(transport.saved().is_some());
    transport.write(0x70, &[0; 4]);
}

fn disk(directory: &Path) -> Block {
    let path = directory.join("disk");
    File::create(&path).unwrap().set_len(4096).unwrap();
    let segments = vec![SegmentConfig { path, offset_bytes: 0, length_bytes: 4096 }];
    let (id, rates) = ("layer".to_owned(), DiskRates::default());
    Block::new(&DiskConfig { id, read_only: false, segments, rates }).unwrap()
}

fn network(mac: [u8; 6], mtu_bytes: u16, pairs: u16) -> Net<Severed> {
    let device = NetworkDevice { mac, mtu_bytes, rates: NetworkRates::default() };
    Net::new((0..pairs).map(|_| Severed::new().unwrap()), &device).unwrap()
}

/// A state file whose devices are these.
fn state(devices: Vec<SavedDevice>) -> Vec<u8> {
    let devices = (0..).zip(devices).map(|(slot, device)| SavedSlot { slot, device }).collect();
    let vm = template::VmState { interrupt_controllers: Default::default(), clock: Default::default() };
    let runs = vec![template::Run { start: 0x1000, length_bytes: 0x3000 }];
    let memory = template::MemoryFile { runs, sha256: [7; 32] };
    template::encode(&Template { memory_mib: 64, memory, vcpus: Vec::new(), vm, devices }).unwrap()
}

fn seeds() -> Vec<Vec<u8>> {
    use crate::guest::Guest;
    let saved = |guest: Guest| guest.saved().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("vsock");
    let config = VsockConfig { guest_cid: 3, socket, host_ports: Vec::new(), dial_fd: None };
    let vsock = saved(Guest::new(Vsock::new(&config).unwrap(), u64::MAX));
    let rng = saved(Guest::new(Rng::new().unwrap(), u64::MAX));
    let balloon = saved(Guest::new(Balloon::new().unwrap(), 0));
    let block = saved(Guest::new(disk(directory.path()), u64::MAX));
    let net = saved(Guest::new(network([2, 0, 0, 0, 0, 1], 1500, 2), u64::MAX));
    vec![
        state(Vec::new()),
        state(vec![vsock.clone()]),
        state(vec![rng.clone()]),
        state(vec![balloon.clone()]),
        state(vec![block.clone()]),
        state(vec![net.clone()]),
        state(vec![vsock, rng, balloon, block, net]),
    ]
}
