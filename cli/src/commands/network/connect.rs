//! `holm network connect`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::Container;
use holm_runtime::container::settings::{NetworkConnection, parse_resolver_word};
use holm_runtime::network::{MacAddress, NetworkStore};
use holm_runtime::supervisor::Client;

use super::changed::change;

/// Connect a container to a network
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm network connect app web\n  holm network connect --alias db --ip 10.5.0.9 app store"
)]
pub(crate) struct Connect {
    /// Add network-scoped alias for the container
    #[arg(long, value_name = "NAME", value_parser = parse_resolver_word)]
    alias: Vec<String>,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// MAC address of the interface
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<MacAddress>,
    /// Name or ID of the network
    network: String,
    /// Name or ID of the container
    container: String,
}

impl Connect {
    pub(super) fn run(self) -> Result<ExitCode> {
        let networks = crate::commands::networks()?;
        let containers = crate::commands::containers()?;
        let container = containers.find(&self.container)?;
        let connection = NetworkConnection {
            network: networks.find(&self.network)?.id,
            ip: self.ip,
            ip6: self.ip6,
            mac_address: self.mac_address,
            aliases: self.alias,
        };
        change(
            &container,
            || Ok(Client::connect_network(containers.directories(), &container, &connection)?),
            || note(&networks, &container, &connection),
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

fn note(networks: &NetworkStore, container: &Container, connection: &NetworkConnection) -> Result<()> {
    let network = networks.check_connection(container, connection)?;
    Ok(networks.note_connected(container, &network, connection)?)
}
