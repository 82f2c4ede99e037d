//! sha256 digests as image-spec writes them: `sha256:` and 64 lower-case hex digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A sha256 digest. Other algorithms are refused: no registry or builder in use makes them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A string that is not a sha256 digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a digest: must be sha256: and 64 lower-case hex digits")]
pub struct InvalidDigest(pub String);

impl Digest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    /// Of what was hashed so far.
    pub(crate) fn finish(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// From 64 lower-case hex digits without the algorithm.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_hex(hex_digits: &str) -> Result<Self, InvalidDigest> {
        let mut bytes = [0; 32];
        let upper = hex_digits.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(hex_digits, &mut bytes) {
            Ok(()) if !upper => Ok(Self(bytes)),
            _ => Err(InvalidDigest(hex_digits.to_owned())),
        }
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 hex digits, as `images` and `ps` print them.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex().chars().take(12).collect()
    }

    /// The 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let invalid = || InvalidDigest(text.to_owned());
        Self::from_hex(text.strip_prefix("sha256:").ok_or_else(invalid)?).map_err(|_| invalid())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let digest = Digest::of(b"");
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(digest.short(), "e3b0c44298fc");
        assert_eq!(serde_json::from_str::<Digest>(&format!("{text:?}")).unwrap(), digest);
    }

    #[test]
    fn other_texts_are_refused() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let upper = format!("sha256:{}", hex.to_uppercase());
        let sha512 = format!("sha512:{hex}{hex}");
        for text in
            ["", "sha256:", hex, &format!("sha256:{}", &hex[1..]), "sha256:../../etc", &upper, &sha512]
        {
            assert_eq!(text.parse::<Digest>(), Err(InvalidDigest(text.to_owned())));
        }
    }
}
