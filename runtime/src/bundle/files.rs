//! The files that the engine owns in every container: `/etc/hostname`, `/etc/hosts`, `/etc/resolv.conf` (M39).

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use crate::container::settings::Settings;

/// A file that the guest keeps in memory and binds over a path of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFile {
    /// Absolute path in the container.
    pub path: &'static str,
    /// The whole content.
    pub content: String,
}

/// What the files say of a container's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesNetwork {
    /// The container's addresses, one or two for each of its networks.
    pub addresses: Vec<IpAddr>,
    /// The host's address, where the way to everywhere else begins.
    pub gateway: Ipv4Addr,
    /// Whom the container asks for names.
    pub nameservers: Vec<IpAddr>,
}

/// The files of a container, but for those in whose place the user mounts others; without a network: its own name, and no
/// resolver but those that were asked for.
#[must_use]
pub fn engine_files(hostname: &str, settings: &Settings, network: Option<&FilesNetwork>) -> Vec<EngineFile> {
    let mut files = vec![
        EngineFile { path: "/etc/hostname", content: format!("{hostname}\n") },
        EngineFile { path: "/etc/hosts", content: hosts(hostname, settings, network) },
        EngineFile { path: "/etc/resolv.conf", content: resolver(settings, network) },
    ];
    files.retain(|file| settings.mounts.iter().all(|mount| mount.destination != file.path));
    files
}

fn hosts(hostname: &str, settings: &Settings, network: Option<&FilesNetwork>) -> String {
    let mut hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                     ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
        .to_owned();
    for host in &settings.extra_hosts {
        let gateway = || network.map(|network| IpAddr::V4(network.gateway));
        if let Some(address) = host.address.or_else(gateway) {
            let _ = writeln!(hosts, "{address}\t{}", host.name);
        }
    }
    let nowhere = [IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1))];
    for own in network.map_or(&nowhere[..], |network| &network.addresses) {
        let _ = writeln!(hosts, "{own}\t{hostname}");
    }
    hosts
}

fn resolver(settings: &Settings, network: Option<&FilesNetwork>) -> String {
    let servers = network.map_or(&settings.dns, |network| &network.nameservers);
    let mut text = String::new();
    for server in servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    for (word, values) in [("search", &settings.dns_search), ("options", &settings.dns_options)] {
        if !values.is_empty() {
            let _ = writeln!(text, "{word} {}", values.join(" "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(settings: &Settings, network: Option<&FilesNetwork>, path: &str) -> String {
        let files = engine_files("box", settings, network);
        files.into_iter().find(|file| file.path == path).unwrap().content
    }

    #[test]
    fn the_network_names_the_container_and_its_resolver() {
        let network = FilesNetwork {
            addresses: vec!["10.88.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
            gateway: "10.88.0.1".parse().unwrap(),
            nameservers: vec!["192.0.2.1".parse().unwrap()],
        };
        let mut settings = Settings {
            extra_hosts: vec!["db:192.0.2.9".parse().unwrap(), "host:host-gateway".parse().unwrap()],
            ..Settings::default()
        };
        let hosts = content(&settings, Some(&network), "/etc/hosts");
        assert!(hosts.ends_with("192.0.2.9\tdb\n10.88.0.1\thost\n10.88.0.2\tbox\nfd00::2\tbox\n"), "{hosts}");
        assert_eq!(content(&settings, Some(&network), "/etc/resolv.conf"), "nameserver 192.0.2.1\n");
        assert_eq!(content(&settings, None, "/etc/resolv.conf"), "");
        settings.dns = vec!["192.0.2.2".parse().unwrap()];
        settings.dns_search = vec!["a.example".into(), "b.example".into()];
        settings.dns_options = vec!["ndots:2".into()];
        let expected = "nameserver 192.0.2.2\nsearch a.example b.example\noptions ndots:2\n";
        assert_eq!(content(&settings, None, "/etc/resolv.conf"), expected);
    }
}
