//! Whom the host asks for names: resolv.conf(5).

use std::fs;
use std::net::IpAddr;

/// The host's own, and what systemd-resolved keeps beside a local one of its own.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// The host's nameservers that can be reached from a container's network: a loopback address there is the container's own.
#[must_use]
pub fn host_nameservers() -> Vec<IpAddr> {
    let found = FILES.iter().map(|path| nameservers(&fs::read_to_string(path).unwrap_or_default()));
    found.into_iter().find(|servers| !servers.is_empty()).unwrap_or_default()
}

/// Whom the host itself asks.
#[must_use]
pub fn nameservers_of_host() -> Vec<IpAddr> {
    listed(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()).collect()
}

fn nameservers(text: &str) -> Vec<IpAddr> {
    // The default network has no IPv6, and on others the supervisor asks.
    listed(text).filter(|server| server.is_ipv4() && !server.is_loopback()).collect()
}

fn listed(text: &str) -> impl Iterator<Item = IpAddr> {
    let of_line =
        |line: &str| line.strip_prefix("nameserver")?.split_whitespace().next()?.parse::<IpAddr>().ok();
    text.lines().filter_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_servers_are_left_out() {
        let text =
            "# x\nnameserver 127.0.0.53\nsearch a\nnameserver  10.0.0.1 \nnameserver fd00::1\nnameserver x\n";
        assert_eq!(nameservers(text), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    }
}
