//! `holm network create`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::container::settings::{Label, Labels};
use holm_runtime::network::{Mtu, MtuError, NetworkName, NewIpv6, NewNetwork, Subnet, Subnet6};

use crate::output;

/// Create a network
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm network create app\n  holm network create --subnet 10.5.0.0/24 --internal db\n  holm network create --ipv6 \\\n    --subnet fd00:5::/64 web"
)]
pub(crate) struct Create {
    /// Driver to manage the network
    #[arg(short, long, value_name = "DRIVER", default_value = "bridge", value_parser = ["bridge"])]
    driver: String,
    /// IPv4 or IPv6 address of the host on the network; for each its subnet must be given, too
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<IpAddr>,
    /// Enable IPv6 networking
    #[arg(long)]
    ipv6: bool,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Set metadata on a network
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Set driver specific options (com.docker.network.driver.mtu=BYTES)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = mtu)]
    opt: Option<Mtu>,
    /// Subnet in CIDR format: one of IPv4, and with --ipv6 one of IPv6
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<String>,
    /// Name
    name: NetworkName,
}

impl Create {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut labels = Labels::new();
        labels.extend(self.label.into_iter().map(|label| (label.key, label.value)));
        let asked = Asked::of(&self.subnet, &self.gateway)?;
        if !self.ipv6 && (asked.subnet6.is_some() || asked.gateway6.is_some()) {
            bail!("a subnet or gateway of IPv6 needs --ipv6");
        }
        let new = NewNetwork {
            name: self.name,
            subnet: asked.subnet,
            gateway: asked.gateway,
            ipv6: self.ipv6.then_some(NewIpv6 { subnet: asked.subnet6, gateway: asked.gateway6 }),
            internal: self.internal,
            mtu: self.opt,
            labels,
        };
        output::line(&crate::commands::networks()?.create(new)?.id);
        Ok(ExitCode::SUCCESS)
    }
}

/// The only option that there is.
fn mtu(text: &str) -> Result<Mtu, String> {
    match text.split_once('=') {
        Some((Mtu::OPTION, bytes)) => bytes.parse().map_err(|error: MtuError| error.to_string()),
        _ => Err(format!("network option {text:?} is not supported: there is {}", Mtu::OPTION)),
    }
}

/// Subnets and gateways by their families.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    subnet: Option<Subnet>,
    gateway: Option<Ipv4Addr>,
    subnet6: Option<Subnet6>,
    gateway6: Option<Ipv6Addr>,
}

impl Asked {
    fn of(subnets: &[String], gateways: &[IpAddr]) -> Result<Self> {
        let mut asked = Self::default();
        for text in subnets {
            let is_second = if text.contains(':') {
                asked.subnet6.replace(text.parse()?).is_some()
            } else {
                asked.subnet.replace(text.parse()?).is_some()
            };
            if is_second {
                bail!("a network has at most one subnet of IPv4 and one of IPv6");
            }
        }
        for gateway in gateways {
            let (is_second, has_subnet) = match *gateway {
                IpAddr::V4(ip) => (asked.gateway.replace(ip).is_some(), asked.subnet.is_some()),
                IpAddr::V6(ip) => (asked.gateway6.replace(ip).is_some(), asked.subnet6.is_some()),
            };
            if is_second || !has_subnet {
                bail!("no matching subnet for gateway {gateway}");
            }
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_own_once() {
        let of = |subnets: &[&str], gateways: &[&str]| {
            let subnets: Vec<String> = subnets.iter().map(|text| (*text).to_owned()).collect();
            let gateways: Vec<IpAddr> = gateways.iter().map(|text| text.parse().unwrap()).collect();
            Asked::of(&subnets, &gateways)
        };
        let both = of(&["fd00::/64", "10.5.0.0/24"], &["10.5.0.9", "fd00::9"]).unwrap();
        assert_eq!(both.subnet, "10.5.0.0/24".parse().ok());
        assert_eq!(both.gateway6, "fd00::9".parse().ok());
        assert_eq!(of(&[], &[]).unwrap(), Asked::default());
        assert!(of(&["10.5.0.0/24", "10.6.0.0/24"], &[]).is_err());
        assert!(of(&["fd00::/64"], &["10.5.0.9"]).is_err());
        assert!(of(&["fd00::/64"], &["fd00::9", "fd00::a"]).is_err());
        assert!(of(&["10.5.0.1/24"], &[]).is_err());
    }
}
