//! Container names (M24): given by the user, or made of two words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerName(String);

/// A name with characters that are not allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
pub struct NameError(String);

/// Longest name; it is a file name.
const MAX_BYTES: usize = 200;

const ADJECTIVES: &[&str] = &[
    "amber",
    "brave",
    "breezy",
    "bright",
    "calm",
    "clear",
    "cosy",
    "crisp",
    "deep",
    "eager",
    "early",
    "fair",
    "foggy",
    "frosty",
    "gentle",
    "glad",
    "golden",
    "grassy",
    "green",
    "happy",
    "hardy",
    "hidden",
    "high",
    "keen",
    "kind",
    "lively",
    "lone",
    "lucky",
    "mellow",
    "merry",
    "mild",
    "misty",
    "mossy",
    "nimble",
    "noble",
    "northern",
    "pebbly",
    "placid",
    "proud",
    "quick",
    "quiet",
    "rocky",
    "rosy",
    "round",
    "rugged",
    "salty",
    "sandy",
    "serene",
    "sheltered",
    "shining",
    "silver",
    "slow",
    "small",
    "snowy",
    "solid",
    "southern",
    "spry",
    "steady",
    "still",
    "stormy",
    "sunny",
    "swift",
    "tidal",
    "windy",
];
const NOUNS: &[&str] = &[
    "anchor", "atoll", "auk", "bank", "bay", "beach", "beacon", "boulder", "breeze", "buoy", "cape", "cliff",
    "clover", "cod", "coral", "cove", "creek", "dune", "eider", "fern", "fjord", "gannet", "gull", "haven",
    "heather", "heron", "holm", "inlet", "islet", "juniper", "kelp", "lagoon", "lantern", "lichen", "mast",
    "meadow", "mussel", "oar", "otter", "oyster", "pearl", "pier", "pine", "plover", "puffin", "reef",
    "ripple", "rock", "rowan", "sail", "seal", "shell", "shoal", "shore", "skerry", "skiff", "sound",
    "strait", "tern", "thrift", "tide", "trout", "wave", "wharf",
];

impl ContainerName {
    /// One of a few thousand names, chosen by `seed`.
    #[must_use]
    pub fn generated(seed: u64) -> Self {
        let pick = |words: &[&'static str], number: u64| -> &'static str {
            let index = usize::try_from(number % words.len() as u64).unwrap_or(0);
            words.get(index).copied().unwrap_or("holm")
        };
        Self(format!("{}_{}", pick(ADJECTIVES, seed), pick(NOUNS, seed / ADJECTIVES.len() as u64)))
    }

    /// The name with a number after it, for when it is taken.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Self {
        Self(format!("{}{number}", self.0))
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.strip_prefix('/').unwrap_or(text);
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = bytes.len() > 0 && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if first && rest && name.len() <= MAX_BYTES {
            Ok(Self(name.to_owned()))
        } else {
            Err(NameError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for ContainerName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ContainerName> for String {
    fn from(name: ContainerName) -> Self {
        name.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for name in ["web", "a1", "my_app.v1-2", "/web"] {
            assert!(name.parse::<ContainerName>().is_ok(), "{name}");
        }
        for name in ["", "a", "-a", ".ab", "a b", "a/b", "../x", "ä1"] {
            assert!(name.parse::<ContainerName>().is_err(), "{name}");
        }
    }

    #[test]
    fn generated_names_are_names_and_vary() {
        let names: std::collections::HashSet<_> = (0..4096).map(ContainerName::generated).collect();
        assert_eq!(names.len(), ADJECTIVES.len() * NOUNS.len());
        assert!(names.iter().all(|n| n.as_str().parse::<ContainerName>().is_ok()));
    }
}
