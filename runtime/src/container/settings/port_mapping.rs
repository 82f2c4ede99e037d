//! `-p [[ip:][host]:]container[/protocol]`: a published port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// `/udp`.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PortMapping {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The host's address; `None` for all, of both families.
    pub host_ip: Option<IpAddr>,
    /// The host's port; 0 for any that is free.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
}

/// Ports of one `-p`: ranges are several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMappings(pub Vec<PortMapping>);

/// Why a mapping is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PortMappingError {
    /// Not a mapping.
    #[error(
        "invalid port {0:?}: want [[IP:][HOST_PORT]:]CONTAINER_PORT[/tcp|udp], ports may be ranges FIRST-LAST"
    )]
    Malformed(String),
    /// Ranges of different lengths.
    #[error("invalid ranges specified for container and host ports: {0:?}")]
    Ranges(String),
}

/// Most ports of one range: each has a socket and a place in the rules.
const MAX_RANGE: u16 = 1024;

/// `80/tcp`: a port of a container.
pub fn parse_exposed(text: &str) -> Result<(u16, Protocol), PortMappingError> {
    let malformed = || PortMappingError::Malformed(text.to_owned());
    let (port, protocol) = with_protocol(text).ok_or_else(malformed)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(malformed)?;
    Ok((port, protocol))
}

fn with_protocol(text: &str) -> Option<(&str, Protocol)> {
    match text.split_once('/') {
        None => Some((text, Protocol::Tcp)),
        Some((ports, "tcp")) => Some((ports, Protocol::Tcp)),
        Some((ports, "udp")) => Some((ports, Protocol::Udp)),
        Some(_) => None,
    }
}

/// First and last.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first != 0 && first <= last && last - first < MAX_RANGE).then_some((first, last))
}

impl FromStr for PortMappings {
    type Err = PortMappingError;

    fn from_str(text: &str) -> Result<Self, PortMappingError> {
        let malformed = || PortMappingError::Malformed(text.to_owned());
        let (ports, protocol) = with_protocol(text).ok_or_else(malformed)?;
        let (host, container) =
            ports.rsplit_once(':').map_or((None, ports), |(host, port)| (Some(host), port));
        let container = range(container).ok_or_else(malformed)?;
        let (host_ip, host) = match host {
            None => (None, ""),
            // An IPv6 address stands in brackets.
            Some(host) => match host.rsplit_once(':') {
                Some((ip, port)) if !host.ends_with(']') => {
                    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
                    (Some(bare.parse().map_err(|_| malformed())?), port)
                }
                _ => (None, host),
            },
        };
        let host =
            if host.is_empty() || host == "0" { None } else { Some(range(host).ok_or_else(malformed)?) };
        if host.is_some_and(|(first, last)| last - first != container.1 - container.0) {
            return Err(PortMappingError::Ranges(text.to_owned()));
        }
        let mappings = (container.0..=container.1).map(|container_port| PortMapping {
            protocol,
            host_ip,
            host_port: host.map_or(0, |(first, _)| first + (container_port - container.0)),
            container_port,
        });
        Ok(Self(mappings.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(text: &str) -> Vec<(Option<String>, u16, u16, Protocol)> {
        let parsed: PortMappings = text.parse().unwrap();
        parsed
            .0
            .iter()
            .map(|p| (p.host_ip.map(|ip| ip.to_string()), p.host_port, p.container_port, p.protocol))
            .collect()
    }

    #[test]
    fn forms_are_dockers() {
        assert_eq!(ports("80"), [(None, 0, 80, Protocol::Tcp)]);
        assert_eq!(ports("8080:80"), [(None, 8080, 80, Protocol::Tcp)]);
        assert_eq!(ports("127.0.0.1:8080:80"), [(Some("127.0.0.1".into()), 8080, 80, Protocol::Tcp)]);
        assert_eq!(ports("127.0.0.1::80/udp"), [(Some("127.0.0.1".into()), 0, 80, Protocol::Udp)]);
        assert_eq!(ports("[::1]:8080:80"), [(Some("::1".into()), 8080, 80, Protocol::Tcp)]);
        assert_eq!(ports("8000-8001:80-81").last(), Some(&(None, 8001, 81, Protocol::Tcp)));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "x", "0", "80/sctp", "70000", "1.2.3:80:80", "8080:", ":::80", "9-8", "1-2000"] {
            assert!(matches!(text.parse::<PortMappings>(), Err(PortMappingError::Malformed(_))), "{text}");
        }
        assert!(matches!("80-81:80".parse::<PortMappings>(), Err(PortMappingError::Ranges(_))));
    }
}
