//! `holm port`: the ports that a container publishes.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::network::PublishedPort;

use crate::{output, published};

/// List port mappings of a container
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm port web 80/tcp")]
pub(crate) struct Port {
    /// Name or ID
    container: String,
    /// PORT or PORT/tcp, PORT/udp, PORT/sctp
    #[arg(value_name = "PRIVATE_PORT[/PROTO]", value_parser = private_port)]
    private_port: Option<String>,
}

/// Completes the protocol.
fn private_port(text: &str) -> Result<String, String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match (port.parse::<u16>(), protocol) {
        (Ok(port), "tcp" | "udp" | "sctp") => Ok(format!("{port}/{protocol}")),
        (Ok(_), _) => Err(format!("invalid protocol {protocol:?}: want tcp, udp or sctp")),
        (Err(_), _) => Err(format!("invalid port {port:?}: want a number from 0 to 65535")),
    }
}

impl Port {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        let container = store.find(&self.container)?;
        let is_running = container.state()?.status.is_active();
        let mut ports = if is_running { published::ports(&store, &container) } else { Vec::new() };
        let private = |port: &PublishedPort| format!("{}/{}", port.container_port, port.protocol);
        match &self.private_port {
            None => {
                ports.sort_by_key(|port| (port.container_port, port.protocol));
                for port in &ports {
                    output::line(&format!("{} -> {}", private(port), published::host(port)));
                }
            }
            Some(wanted) => {
                ports.retain(|port| private(port) == *wanted);
                if ports.is_empty() {
                    bail!("no public port '{wanted}' published for {}", container.name);
                }
                for port in &ports {
                    output::line(&published::host(port));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_dockers() {
        assert_eq!(private_port("80"), Ok("80/tcp".into()));
        assert_eq!(private_port("53/udp"), Ok("53/udp".into()));
        for text in ["x", "80/x", "70000", ""] {
            assert!(private_port(text).is_err(), "{text}");
        }
    }
}
