//! `holm network ...`: networks of containers.

mod changed;
mod connect;
mod create;
mod disconnect;
mod inspect;
mod ls;
mod rm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use holm_runtime::network::{Mtu, Network, NetworkStore};
use serde_json::{Map, Value, json};

use super::prune;

/// Manage networks
#[derive(Debug, Args)]
pub(crate) struct NetworkGroup {
    #[command(subcommand)]
    verb: GroupVerb,
}

#[derive(Debug, Subcommand)]
enum GroupVerb {
    Connect(connect::Connect),
    Create(create::Create),
    Disconnect(disconnect::Disconnect),
    Inspect(inspect::Inspect),
    #[command(visible_alias = "list")]
    Ls(ls::Ls),
    Prune(prune::networks::PruneNetworks),
    #[command(visible_alias = "remove")]
    Rm(rm::Rm),
}

impl NetworkGroup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.verb {
            GroupVerb::Connect(verb) => verb.run(),
            GroupVerb::Create(verb) => verb.run(),
            GroupVerb::Disconnect(verb) => verb.run(),
            GroupVerb::Inspect(verb) => verb.run(),
            GroupVerb::Ls(verb) => verb.run(),
            GroupVerb::Prune(verb) => verb.run(),
            GroupVerb::Rm(verb) => verb.run(),
        }
    }
}

/// A network as `docker network inspect` shows it.
pub(super) fn describe(store: &NetworkStore, network: &Network) -> Result<Value> {
    let containers = super::containers()?;
    let mut on = Map::new();
    for endpoint in store.endpoints_of(network)? {
        let name =
            containers.open(endpoint.container_id.clone()).map(|c| c.name.to_string()).unwrap_or_default();
        let address = format!("{}/{}", endpoint.address, network.subnet.prefix_length());
        let address6 = endpoint.address6.zip(network.ipv6);
        let address6 = address6.map(|(address, ipv6)| format!("{address}/{}", ipv6.subnet.prefix_length()));
        let address6 = address6.unwrap_or_default();
        on.insert(
            endpoint.container_id.to_string(),
            json!({
                "Name": name,
                "EndpointID": endpoint.id(),
                "MacAddress": endpoint.mac,
                "IPv4Address": address,
                "IPv6Address": address6,
            }),
        );
    }
    let mut config = vec![json!({"Subnet": network.subnet, "Gateway": network.gateway()})];
    config.extend(network.ipv6.map(|ipv6| json!({"Subnet": ipv6.subnet, "Gateway": ipv6.gateway})));
    let mut options = Map::new();
    options.insert("com.docker.network.bridge.name".to_owned(), json!(network.bridge));
    if let Some(mtu) = network.mtu {
        options.insert(Mtu::OPTION.to_owned(), json!(mtu.bytes().to_string()));
    }
    Ok(json!({
        "Name": network.name,
        "Id": network.id,
        "Created": serde_json::to_value(network)?.get("Created"),
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv4": true,
        "EnableIPv6": network.ipv6.is_some(),
        "IPAM": {
            "Driver": "default",
            "Options": {},
            "Config": config,
        },
        "Internal": network.internal,
        "Attachable": false,
        "Ingress": false,
        "Containers": on,
        "Options": options,
        "Labels": network.labels,
    }))
}
