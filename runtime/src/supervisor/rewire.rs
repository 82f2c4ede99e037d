//! `holm network connect` and `disconnect` on a container that runs.
//!
//! ```text
//!   connect:     endpoint, TAP, rules ──> VMM plugs the device in ──> agent sets the interface up ──> written down
//!   disconnect:  agent gives the device up ──> VMM takes it away ──> rules, endpoint gone ──> written down
//! ```
//!
//! On a thread of its own: a guest that does not answer delays nobody but the next change. Whatever fails on the way of a
//! connect is undone. A disconnect goes on without the guest's help: the VMM takes the device from it.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use super::error::SupervisorError;
use super::net::{Networks, lock};
use super::protocol::{self, Report};
use super::run::Supervisor;
use crate::container::Status;
use crate::container::settings::NetworkConnection;
use crate::network::{Joined, NetworkError, NetworkStore};
use crate::sandbox::{AgentClient, NetworkChange, VmmControl};

/// What is to change.
pub(super) enum Rewiring {
    /// One network more.
    Connect(NetworkConnection),
    /// One less, by name or id.
    Disconnect(String),
}

/// All that a change needs.
struct Wires {
    networks: Arc<Mutex<Networks>>,
    agent: AgentClient,
    control: Arc<VmmControl>,
    hostname: String,
}

impl Supervisor {
    /// Changes the container's networks and tells the client how that went.
    pub(super) fn rewire(&self, rewiring: Rewiring, client: UnixStream) {
        let wires = self.wires();
        let later = (self.state.status == Status::Restarting && self.vm.network.is_none())
            .then(|| (NetworkStore::new(self.store.directories().clone()), self.container.clone()));
        thread::spawn(move || {
            let done = match (wires, later) {
                (Ok(wires), _) => wires.change(&rewiring).map_err(|error| error.message()),
                (_, Some((store, container))) => rewiring.note(&store, &container).map_err(|e| e.to_string()),
                (Err(message), None) => Err(message),
            };
            let report = done.map_or_else(|message| Report::Refused { message }, |()| Report::Done);
            // A client that went away need not be told.
            let _ = protocol::send(&client, &report);
        });
    }

    fn wires(&self) -> Result<Wires, String> {
        let short = self.container.id.short();
        let (Some(_), Some(agent), Some(sandbox)) = (self.vm.started, &self.vm.agent, &self.vm.sandbox)
        else {
            return Err(format!("container {short} is being started, try again"));
        };
        let networking = self.vm.network.as_ref().ok_or_else(|| NetworkError::Private.to_string())?;
        Ok(Wires {
            networks: Arc::clone(&networking.networks),
            agent: agent.clone(),
            control: Arc::clone(&sandbox.vmm.control),
            hostname: self.container.record.hostname(&self.container.id),
        })
    }
}

impl Rewiring {
    /// For a container that has no VM now: only what is written down changes.
    fn note(
        &self,
        store: &NetworkStore,
        container: &crate::container::Container,
    ) -> Result<(), NetworkError> {
        match self {
            Self::Connect(connection) => {
                let network = store.check_connection(container, connection)?;
                store.note_connected(container, &network, connection)
            }
            Self::Disconnect(network) => store.note_disconnected(container, &store.find(network)?),
        }
    }
}

impl Wires {
    fn change(&self, rewiring: &Rewiring) -> Result<(), SupervisorError> {
        let mut networks = lock(&self.networks);
        if networks.is_released {
            return Err(SupervisorError::Abandoned);
        }
        networks.attachment.check_changeable()?;
        match rewiring {
            Rewiring::Connect(connection) => self.connect(&mut networks, connection),
            Rewiring::Disconnect(network) => self.disconnect(&mut networks, network),
        }
    }

    fn connect(
        &self,
        networks: &mut Networks,
        connection: &NetworkConnection,
    ) -> Result<(), SupervisorError> {
        let network = networks.store.check_connection(&networks.container, connection)?;
        let (joined, link) = networks.attachment.add(connection)?;
        let plugged = self.control.add_network(link, networks.device(&joined)).map_err(SupervisorError::from);
        let done = plugged.and_then(|place| {
            let own = networks.attachment.joined_mut().iter_mut().find(|j| j.network.id == network.id);
            if let Some(own) = own {
                own.slot = place.slot;
            }
            let set_up = self.set_up(networks, &joined, place).and_then(|()| {
                Ok(networks.store.note_connected(&networks.container, &network, connection)?)
            });
            // The failure that is known is the one to tell.
            set_up.inspect_err(|_| drop(self.control.remove_device(place.slot)))
        });
        match done {
            Ok(()) => networks.store.note(&network, "connect", &networks.container),
            Err(_) => drop(networks.attachment.remove(&network.id)),
        }
        done
    }

    fn set_up(
        &self,
        networks: &mut Networks,
        joined: &Joined,
        place: holm_protocol::vm_control::DevicePlace,
    ) -> Result<(), SupervisorError> {
        let serve_names = networks.serve_names()?;
        let files = networks.files(&self.hostname, None);
        let change = NetworkChange { files, serve_names, ..NetworkChange::default() };
        Ok(self.agent.connect_network(place, &networks.interface(joined), &change)?)
    }

    fn disconnect(&self, networks: &mut Networks, name: &str) -> Result<(), SupervisorError> {
        let network = networks.store.find(name)?;
        let found = networks.attachment.joined().iter().find(|joined| joined.network.id == network.id);
        let joined = found.cloned().ok_or_else(|| NetworkError::NotConnected {
            container: networks.container.name.to_string(),
            network: network.name.to_string(),
        })?;
        let was_way_out = networks.attachment.way_out().is_some_and(|way| way.network.id == network.id);
        let others = networks.attachment.joined().iter().filter(|other| other.network.id != network.id);
        let next = others.filter(|_| was_way_out).find(|other| !other.network.internal);
        let change = NetworkChange {
            files: networks.files(&self.hostname, Some(&network.id)),
            serve_names: false,
            gateway: next.map(|next| next.network.gateway()),
            gateway6: next.and_then(|next| Some(next.network.ipv6?.gateway)),
        };
        if let Err(error) = self.agent.disconnect_network(joined.slot, &change) {
            tracing::warn!(%error, "the guest did not give its network up");
        }
        self.control.remove_device(joined.slot)?;
        networks.attachment.remove(&network.id)?;
        networks.store.note_disconnected(&networks.container, &network)?;
        networks.store.note(&network, "disconnect", &networks.container);
        Ok(())
    }
}
