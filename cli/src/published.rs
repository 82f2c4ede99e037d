//! Published ports as Docker shows them.

use std::net::SocketAddr;

use holm_runtime::container::settings::{NetworkConnection, NetworkMode};
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::network::{Endpoint, Network, NetworkStore, PublishedPort};
use serde_json::{Map, Value, json};

/// A container's places on its networks while it runs; what cannot be read is not shown.
pub(crate) fn endpoints(store: &ContainerStore, container: &Container) -> Vec<Endpoint> {
    Endpoint::of(store.directories(), &container.id).unwrap_or_default()
}

/// What is published of a container that runs.
pub(crate) fn ports(store: &ContainerStore, container: &Container) -> Vec<PublishedPort> {
    endpoints(store, container).into_iter().flat_map(|endpoint| endpoint.ports).collect()
}

/// The networks that a container is on when it runs, or `none`: the column of `ps`.
pub(crate) fn network_names(container: &Container) -> String {
    if container.record.settings.network == NetworkMode::None {
        return NetworkMode::None.to_string();
    }
    let connections = container.connections().unwrap_or_default();
    connections.into_iter().map(|connection| connection.network).collect::<Vec<_>>().join(",")
}

/// `0.0.0.0:8080`, `[::]:8080`: where a port is published.
pub(crate) fn host(port: &PublishedPort) -> String {
    SocketAddr::new(port.host_ip, port.host_port).to_string()
}

/// `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`: the column of `ps`.
pub(crate) fn column(ports: &[PublishedPort]) -> String {
    let shown = ports.iter().map(|p| format!("{}->{}/{}", host(p), p.container_port, p.protocol));
    shown.collect::<Vec<_>>().join(", ")
}

/// `NetworkSettings` of `inspect`.
pub(crate) fn network_settings(store: &ContainerStore, container: &Container, is_running: bool) -> Value {
    let endpoints = if is_running { endpoints(store, container) } else { Vec::new() };
    let mut ports = Map::new();
    for port in endpoints.iter().flat_map(|endpoint| &endpoint.ports) {
        let key = format!("{}/{}", port.container_port, port.protocol);
        let binding = json!({"HostIp": port.host_ip.to_string(), "HostPort": port.host_port.to_string()});
        if let Value::Array(bindings) = ports.entry(key).or_insert_with(|| json!([])) {
            bindings.push(binding);
        }
    }
    let networks = NetworkStore::new(store.directories().clone());
    let (mut on, mut of_default) = (Map::new(), place(None, None));
    for connection in container.connections().unwrap_or_default() {
        let network = networks.find(&connection.network).ok();
        let is_its = |endpoint: &&Endpoint| network.as_ref().is_some_and(|n| n.id == endpoint.network_id);
        let endpoint = endpoints.iter().find(is_its);
        let place = place(endpoint, network.as_ref());
        let mut shown = Map::from_iter([
            ("IPAMConfig".to_owned(), asked(&connection)),
            ("Aliases".to_owned(), json!(connection.aliases)),
            ("NetworkID".to_owned(), json!(network.as_ref().map(|n| n.id.as_str()).unwrap_or_default())),
            ("EndpointID".to_owned(), json!(endpoint.map(Endpoint::id).unwrap_or_default())),
        ]);
        shown.extend(place.clone());
        if network.as_ref().is_some_and(Network::is_default) {
            of_default = place;
        }
        let name = network.map_or(connection.network, |network| network.name.to_string());
        on.insert(name, Value::Object(shown));
    }
    if on.is_empty() && container.record.settings.network == NetworkMode::None {
        on.insert("none".to_owned(), Value::Object(place(None, None)));
    }
    let mut shown = of_default;
    shown.insert("Bridge".to_owned(), "".into());
    shown.insert("Ports".to_owned(), ports.into());
    shown.insert("Networks".to_owned(), on.into());
    Value::Object(shown)
}

/// The addresses that were asked for on a network; null when none was.
fn asked(connection: &NetworkConnection) -> Value {
    let mut asked = Map::new();
    asked.extend(connection.ip.map(|ip| ("IPv4Address".to_owned(), json!(ip))));
    asked.extend(connection.ip6.map(|ip| ("IPv6Address".to_owned(), json!(ip))));
    if asked.is_empty() { Value::Null } else { asked.into() }
}

/// Where a container is on a network, if it is.
fn place(endpoint: Option<&Endpoint>, network: Option<&Network>) -> Map<String, Value> {
    let network = network.filter(|_| endpoint.is_some());
    let ipv6 = network.and_then(|network| network.ipv6);
    let address6 = endpoint.and_then(|e| e.address6).map(|address| address.to_string()).unwrap_or_default();
    Map::from_iter([
        ("Gateway".to_owned(), json!(network.map(|n| n.gateway().to_string()).unwrap_or_default())),
        ("IPAddress".to_owned(), json!(endpoint.map(|e| e.address.to_string()).unwrap_or_default())),
        ("IPPrefixLen".to_owned(), json!(network.map_or(0, |n| n.subnet.prefix_length()))),
        ("IPv6Gateway".to_owned(), json!(ipv6.map(|ipv6| ipv6.gateway.to_string()).unwrap_or_default())),
        ("GlobalIPv6Address".to_owned(), json!(address6)),
        ("GlobalIPv6PrefixLen".to_owned(), json!(ipv6.map_or(0, |ipv6| ipv6.subnet.prefix_length()))),
        ("MacAddress".to_owned(), json!(endpoint.map(|e| e.mac.to_string()).unwrap_or_default())),
    ])
}

/// `HostConfig.PortBindings` of `inspect`: what was asked for.
pub(crate) fn port_bindings(container: &Container) -> Value {
    let mut bindings = Map::new();
    for port in &container.record.settings.ports {
        let key = format!("{}/{}", port.container_port, port.protocol);
        let host_port = if port.host_port == 0 { String::new() } else { port.host_port.to_string() };
        let host_ip = port.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        if let Value::Array(all) = bindings.entry(key).or_insert_with(|| json!([])) {
            all.push(json!({"HostIp": host_ip, "HostPort": host_port}));
        }
    }
    Value::Object(bindings)
}
