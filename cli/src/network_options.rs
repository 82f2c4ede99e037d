//! The flags of `holm create` and `holm run` about networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use clap::Args;
use holm_runtime::container::ContainerStore;
use holm_runtime::container::settings::{
    ExtraHost, NetworkConnection, NetworkFlag, NetworkMode, NetworkRate, PortMapping, PortMappings, Settings,
    parse_exposed, parse_resolver_word,
};
use holm_runtime::image::Image;
use holm_runtime::network::{MAX_NETWORKS, MacAddress, NetworkError, NetworkStore, check_details};

use crate::exit::{FAILURE, Failure};

/// How a container is reached, and whom it asks for names.
#[derive(Debug, Args)]
pub(crate) struct NetworkOptions {
    /// Connect the container to a network: bridge, none, or one of 'holm network create'; can be given several times, and as
    /// name=NETWORK,alias=NAME,ip=ADDRESS,ip6=ADDRESS,mac-address=ADDRESS
    /// (default: bridge, or what the configuration says)
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// IPv4 address on the network
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address on the network
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// Container MAC address
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<MacAddress>,
    /// Add network-scoped alias for the container
    #[arg(long, visible_alias = "net-alias", value_name = "NAME", value_parser = parse_resolver_word)]
    network_alias: Vec<String>,
    /// Limit what each network interface of the container receives, in bytes per second (10m)
    #[arg(long, value_name = "RATE")]
    net_rate_in: Option<NetworkRate>,
    /// Limit what each network interface of the container sends, in bytes per second
    #[arg(long, value_name = "RATE")]
    net_rate_out: Option<NetworkRate>,
    /// Publish a container's port(s) to the host
    #[arg(short, long, value_name = "[[IP:]HOST:]PORT[/PROTO]")]
    publish: Vec<PortMappings>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "PORT[/PROTO]")]
    expose: Vec<PortMappings>,
    /// Set custom DNS servers
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<IpAddr>,
    /// Set custom DNS search domains
    #[arg(long, value_name = "DOMAIN", value_parser = parse_resolver_word)]
    dns_search: Vec<String>,
    /// Set DNS options
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION", value_parser = parse_resolver_word)]
    dns_option: Vec<String>,
    /// Add a custom host-to-IP mapping
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<ExtraHost>,
}

impl NetworkOptions {
    /// Takes what containers get that do not say otherwise.
    ///
    /// # Errors
    /// That is no network, and something is asked for that needs one.
    pub(crate) fn default_to(&mut self, mode: &NetworkMode) -> Result<()> {
        if !self.network.is_empty() {
            return Ok(());
        }
        let is_published = self.publish_all || !self.publish.is_empty();
        if *mode == NetworkMode::None && is_published {
            return refuse(
                "-p and -P need a network, and the configuration gives containers none: add --network bridge",
            );
        }
        self.network.push(mode.to_string());
        Ok(())
    }

    /// Checks what can be checked before anything is made.
    ///
    /// # Errors
    /// There is no such network, or what is asked for needs one.
    pub(crate) fn check(&self, store: &ContainerStore) -> Result<()> {
        let flags = self.flags()?;
        let is_user_made = |flag: &&NetworkFlag| matches!(flag.mode, NetworkMode::Named(_));
        if flags.len() > 1 && flags.iter().filter(is_user_made).count() != flags.len() {
            return refuse(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            );
        }
        if flags.len() > MAX_NETWORKS {
            return refuse(&NetworkError::TooMany(MAX_NETWORKS).to_string());
        }
        let networks = NetworkStore::new(store.directories().clone());
        let mut seen = Vec::new();
        for NetworkFlag { mode, connection } in flags {
            if mode.network().is_none() {
                let plain = NetworkConnection::to(&connection.network);
                if connection != plain {
                    return refuse("--ip, --ip6, --mac-address and --network-alias need a network");
                }
                continue;
            }
            let network = networks.find(&connection.network)?;
            check_details(&network, &connection)?;
            if seen.contains(&network.id) {
                return refuse(&format!("network {:?} is specified multiple times", network.name.as_str()));
            }
            seen.push(network.id);
        }
        Ok(())
    }

    /// What was asked for; the flags of their own are the first network's.
    fn flags(&self) -> Result<Vec<NetworkFlag>> {
        // Parsed here and not by clap, so that a refusal is one line.
        let flags = self.network.iter().map(|text| text.parse::<NetworkFlag>());
        let mut flags = flags.collect::<Result<Vec<_>, _>>()?;
        if let Some(NetworkFlag { connection, .. }) = flags.first_mut() {
            connection.ip = twice("IP address", connection.ip, self.ip)?;
            connection.ip6 = twice("IPv6 address", connection.ip6, self.ip6)?;
            connection.mac_address = twice("MAC address", connection.mac_address, self.mac_address)?;
            connection.aliases.extend(self.network_alias.iter().cloned());
        }
        Ok(flags)
    }

    /// Puts them into the settings.
    pub(crate) fn fill(self, settings: &mut Settings, image: &Image) -> Result<()> {
        let flags = self.flags()?;
        let mut ports: Vec<PortMapping> = self.publish.into_iter().flat_map(|mappings| mappings.0).collect();
        if self.publish_all {
            let of_image = exposed_ports(image).into_iter().map(|(container_port, protocol)| PortMapping {
                protocol,
                host_ip: None,
                host_port: 0,
                container_port,
            });
            let exposed = self.expose.into_iter().flat_map(|mappings| mappings.0);
            for port in of_image.chain(exposed) {
                let is_there =
                    |p: &PortMapping| (p.container_port, p.protocol) == (port.container_port, port.protocol);
                if !ports.iter().any(is_there) {
                    ports.push(port);
                }
            }
        }
        let mut flags = flags.into_iter();
        if let Some(NetworkFlag { mode, connection }) = flags.next() {
            settings.network = mode;
            settings.ip = connection.ip;
            settings.ip6 = connection.ip6;
            settings.mac_address = connection.mac_address;
            settings.network_aliases = connection.aliases;
        }
        settings.more_networks = flags.map(|flag| flag.connection).collect();
        // Without a network nothing can lead to them, as in Docker.
        settings.ports = if settings.network == NetworkMode::None { Vec::new() } else { ports };
        settings.net_rate_in = self.net_rate_in;
        settings.net_rate_out = self.net_rate_out;
        settings.dns = self.dns;
        settings.dns_search = self.dns_search;
        settings.dns_options = self.dns_option;
        settings.extra_hosts = self.add_host;
        Ok(())
    }
}

/// A setting that was given in one of two ways.
fn twice<T>(what: &str, of_network: Option<T>, flag: Option<T>) -> Result<Option<T>> {
    if of_network.is_some() && flag.is_some() {
        refuse(&format!("conflicting options: cannot specify both a flag and a per-network {what}"))?;
    }
    Ok(of_network.or(flag))
}

fn refuse(message: &str) -> Result<()> {
    Err(Failure { code: FAILURE, message: message.to_owned() }.into())
}

/// What the image says that it serves.
fn exposed_ports(image: &Image) -> Vec<(u16, holm_runtime::container::settings::Protocol)> {
    let config = image.config().config().clone();
    let exposed = config.and_then(|config| config.exposed_ports().clone()).unwrap_or_default();
    exposed.iter().filter_map(|port| parse_exposed(port).ok()).collect()
}
