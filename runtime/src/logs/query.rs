//! Which entries of a log are asked for.

use std::str::FromStr;

use time::OffsetDateTime;

/// `--since`, `--until` and `--tail`. As in Docker, the last entries are counted first and then chosen from by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Nothing older.
    pub since: Option<OffsetDateTime>,
    /// Nothing newer.
    pub until: Option<OffsetDateTime>,
    /// How many of the last entries.
    pub tail: Tail,
}

/// `--tail`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    /// The whole log.
    #[default]
    All,
    /// At most so many entries.
    Last(u64),
}

/// Neither a number nor `all`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid number of lines {0:?}: want a number or \"all\"")]
pub struct TailError(String);

impl FromStr for Tail {
    type Err = TailError;

    fn from_str(text: &str) -> Result<Self, TailError> {
        // Docker takes any negative number for all.
        let negative = text.strip_prefix('-').is_some_and(|digits| digits.parse::<u64>().is_ok());
        if text == "all" || negative {
            return Ok(Self::All);
        }
        text.parse().map(Self::Last).map_err(|_| TailError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_numbers_or_all() {
        assert_eq!("all".parse(), Ok(Tail::All));
        assert_eq!("-1".parse(), Ok(Tail::All));
        assert_eq!("0".parse(), Ok(Tail::Last(0)));
        assert_eq!("25".parse(), Ok(Tail::Last(25)));
        for text in ["", "some", "1.5", "--1", "-"] {
            assert_eq!(text.parse::<Tail>(), Err(TailError(text.into())));
        }
    }
}
