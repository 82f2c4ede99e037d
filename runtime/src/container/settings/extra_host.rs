//! `--add-host NAME:IP`: a line of /etc/hosts.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Docker's word for the host as containers see it.
const HOST_GATEWAY: &str = "host-gateway";

/// A name and its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// Its address; `None` is the host's own on the container's network (`host-gateway`).
    pub address: Option<IpAddr>,
}

/// Not a name and an address.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("bad format for add-host: {0:?}: want NAME:IP or NAME:host-gateway")]
pub struct ExtraHostError(String);

/// What stands in /etc/hosts and /etc/resolv.conf as one word.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

impl FromStr for ExtraHost {
    type Err = ExtraHostError;

    fn from_str(text: &str) -> Result<Self, ExtraHostError> {
        let refused = || ExtraHostError(text.to_owned());
        let (name, address) =
            text.split_once(['=', ':']).filter(|(name, _)| is_word(name)).ok_or_else(refused)?;
        let bare = address.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(address);
        let address = if address == HOST_GATEWAY { None } else { Some(bare.parse().map_err(|_| refused())?) };
        Ok(Self { name: name.to_owned(), address })
    }
}

/// `--dns-search` and `--dns-option`: one word.
///
/// # Errors
/// Says what is allowed.
pub fn parse_resolver_word(text: &str) -> Result<String, String> {
    if is_word(text) { Ok(text.to_owned()) } else { Err(format!("invalid word {text:?}: no blanks, no #")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_addresses() {
        let host = |text: &str| text.parse::<ExtraHost>();
        assert_eq!(host("db:10.0.0.1").unwrap().address, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(host("db:::1").unwrap().address, Some("::1".parse().unwrap()));
        assert_eq!(host("db=[::1]").unwrap().address, Some("::1".parse().unwrap()));
        assert_eq!(host("me:host-gateway").unwrap().address, None);
        for text in ["db", ":10.0.0.1", "a b:10.0.0.1", "a\nb:10.0.0.1", "db:x"] {
            assert!(host(text).is_err(), "{text}");
        }
    }
}
