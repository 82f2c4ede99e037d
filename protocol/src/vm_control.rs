//! What the host asks of a VM that runs: devices that come and go, and rates that hold no more.
//!
//! One request and one reply at a time, each a JSON document in a packet of a `SOCK_SEQPACKET` socket pair; a descriptor
//! that belongs to a request comes in the same packet (`SCM_RIGHTS`).
//!
//! ```text
//!   add:     VMM fills a free slot ──reply: where──> the agent names the place to the guest's kernel
//!   remove:  the agent takes the driver off ──> VMM empties the slot
//! ```
//!
//! Trust: the host's runtime asks; nothing here comes from a guest.

use serde::{Deserialize, Serialize};

use crate::vm_config::NetworkDevice;

/// Longest packet in bytes, in both directions.
pub const MAX_CONTROL_BYTES: usize = 16 << 10;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ControlRequest {
    /// A network device over the TAP in this packet. Answered with [`ControlReply::Plugged`].
    AddNetwork(NetworkDevice),
    /// Takes away what is in a slot; afterwards nothing of it is open. Answered with [`ControlReply::Done`].
    RemoveDevice {
        /// The slot.
        slot: u32,
    },
    /// Lets the disks be as fast as they can from now on: at a container's end, what the guest still has to write should not
    /// wait. Answered with [`ControlReply::Done`].
    LiftRates,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ControlReply {
    /// The device is there.
    Plugged(DevicePlace),
    /// It was done.
    Done,
    /// It was not, and why.
    Refused(String),
}

/// Where the guest finds a virtio-mmio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevicePlace {
    /// Which of the places it is, from 0. The guest's kernel knows the device as `virtio-mmio.SLOT`.
    pub slot: u32,
    /// Guest physical address of its registers.
    pub address: u64,
    /// Its interrupt line.
    pub gsi: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm_config::NetworkRates;

    #[test]
    fn messages_survive_the_wire_and_odd_ones_are_refused() {
        let network =
            NetworkDevice { mac: [2, 0, 0, 0, 0, 1], mtu_bytes: 1500, rates: NetworkRates::default() };
        for request in [
            ControlRequest::AddNetwork(network),
            ControlRequest::RemoveDevice { slot: 3 },
            ControlRequest::LiftRates,
        ] {
            let json = serde_json::to_vec(&request).unwrap();
            assert_eq!(serde_json::from_slice::<ControlRequest>(&json).unwrap(), request);
        }
        let place = DevicePlace { slot: 4, address: 0xd000_4000, gsi: 9 };
        let json = serde_json::to_vec(&ControlReply::Plugged(place)).unwrap();
        assert_eq!(serde_json::from_slice::<ControlReply>(&json).unwrap(), ControlReply::Plugged(place));
        assert!(serde_json::from_str::<ControlRequest>(r#"{"remove_device":{"slot":1,"x":2}}"#).is_err());
    }
}
