//! The keys that detach from a terminal session and leave the container running (`--detach-keys`).

use std::str::FromStr;

/// A sequence of key presses, as the bytes that a terminal sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

/// What names no keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DetachKeysError(String);

impl std::error::Error for DetachKeysError {}

impl std::fmt::Display for DetachKeysError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "invalid detach keys {:?}: want single characters or ctrl-<a-z @ [ \\ ] ^ _>, separated by commas",
            self.0
        )
    }
}

impl Default for DetachKeys {
    /// ctrl-p ctrl-q
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

impl std::fmt::Display for DetachKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            match byte {
                0..32 => write!(f, "ctrl-{}", char::from(byte + 64).to_ascii_lowercase())?,
                _ => write!(f, "{}", char::from(*byte))?,
            }
        }
        Ok(())
    }
}

impl FromStr for DetachKeys {
    type Err = DetachKeysError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || DetachKeysError(text.to_owned());
        let key = |word: &str| match word.as_bytes() {
            [byte] => Some(*byte),
            [b'c', b't', b'r', b'l', b'-', byte] => match byte.to_ascii_uppercase() {
                byte @ b'@'..=b'_' => Some(byte - b'@'),
                _ => None,
            },
            _ => None,
        };
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        keys.map(Self).ok_or_else(refused)
    }
}

/// Watches what is typed for the keys.
#[derive(Debug)]
pub(super) struct DetachFilter {
    keys: DetachKeys,
    /// How many of the keys were pressed already, and are held back.
    seen: usize,
}

impl DetachFilter {
    pub(super) fn new(keys: DetachKeys) -> Self {
        Self { keys, seen: 0 }
    }

    /// What of `typed` goes to the workload, and whether the keys are complete.
    pub(super) fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if self.keys.0.get(self.seen) == Some(byte) {
                self.seen += 1;
            } else {
                passed.extend_from_slice(self.keys.0.get(..self.seen).unwrap_or_default());
                self.seen = usize::from(self.keys.0.first() == Some(byte));
                if self.seen == 0 {
                    passed.push(*byte);
                }
            }
            if self.seen == self.keys.0.len() {
                return (passed, true);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_as_in_docker() {
        assert_eq!("ctrl-p,ctrl-q".parse(), Ok(DetachKeys::default()));
        assert_eq!(DetachKeys::default().to_string(), "ctrl-p,ctrl-q");
        assert_eq!("a,ctrl-@,ctrl-_".parse(), Ok(DetachKeys(vec![b'a', 0, 31])));
        for text in ["", "ctrl-", "ctrl-1", "ab", "a,,b"] {
            assert!(text.parse::<DetachKeys>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn everything_else_reaches_the_workload() {
        let mut filter = DetachFilter::new(DetachKeys::default());
        assert_eq!(filter.pass(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(filter.pass(b"b\x10\x10"), (b"\x10b\x10".to_vec(), false));
        assert_eq!(filter.pass(b"\x11never"), (Vec::new(), true));
    }
}
