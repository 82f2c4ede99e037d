//! What the fuzz targets call: a conversation about names, and who has which name.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown};
use std::os::unix::net::UnixStream;

use super::answer::{self, Decision};
use super::zone::{Zone, ZoneHost};

/// Two containers with names of their own, one that they share, and one that is as long as a name can be.
fn zone() -> Zone {
    let host = |last: u8, names: &[&str]| ZoneHost {
        address: Ipv4Addr::new(10, 89, 0, last),
        address6: Some(Ipv6Addr::from_bits(0xfd << 120 | u128::from(last))),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    Zone::new(vec![
        host(2, &["db.net", "db", "store"]),
        host(3, &["web.net", "web", "store", &"x".repeat(63)]),
    ])
}

/// What a guest that sends these bytes and no more is told.
///
/// # Errors
/// As a conversation ends that breaks the rules.
pub fn converse(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let zone = zone();
    let (mut guest, own) = UnixStream::pair()?;
    guest.write_all(bytes)?;
    guest.shutdown(Shutdown::Write)?;
    let reply = move |question: &[u8], _| match answer::decide(question, &zone)? {
        Decision::Reply(reply) => Some(reply),
        Decision::Forward => answer::failure(question),
    };
    super::converse(own, &reply)?;
    let mut told = Vec::new();
    guest.read_to_end(&mut told)?;
    Ok(told)
}
