//! The resolver that an engine has in a container's network namespace, for names on its networks: Docker's, at 127.0.0.11. In a guest
//! that address is the guest's own, where the agent takes questions for this process, which is in the namespace.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use oci_spec::runtime::Mount;

use crate::network::{NameService, RESOLVER_ADDRESS, Resolver};

/// The file that says where a container asks.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// More of it is not read.
const MAX_BYTES: u64 = 64 << 10;
const DNS_PORT: u16 = 53;

/// Whether the file that the engine mounts names such a resolver.
pub(super) fn of(mounts: &[Mount]) -> Resolver {
    let file = mounts.iter().find(|mount| mount.destination() == Path::new(RESOLV_CONF));
    let text = file.and_then(|mount| mount.source().as_deref()).and_then(|source| read(source).ok());
    if text.is_some_and(|text| names_it(&text)) { Resolver::InNamespace } else { Resolver::None }
}

/// Has it asked what the guest asks.
pub(super) fn serve(socket: &Path) -> io::Result<NameService> {
    NameService::forward(socket, vec![(RESOLVER_ADDRESS, DNS_PORT).into()])
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn names_it(text: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver")
            && words.next().and_then(|word| word.parse::<IpAddr>().ok()) == Some(RESOLVER_ADDRESS.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_file_tells() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("resolv.conf");
        let with = |text: &str, destination: &str| {
            std::fs::write(&source, text).unwrap();
            let mount = serde_json::json!({"destination": destination, "type": "bind", "source": source});
            of(&[serde_json::from_value(mount).unwrap()])
        };
        let dockers = "search lan\nnameserver 127.0.0.11\noptions ndots:0\n";
        assert_eq!(with(dockers, RESOLV_CONF), Resolver::InNamespace);
        assert_eq!(with(dockers, "/etc/other"), Resolver::None);
        assert_eq!(with("# nameserver 127.0.0.11\nnameserver 10.0.0.1\n", RESOLV_CONF), Resolver::None);
        assert_eq!(of(&[]), Resolver::None);
    }
}
