//! Points in time as the user writes them.

use holm_runtime::logs::{self, MomentError};
use time::{OffsetDateTime, UtcOffset};

/// Reads a time, seconds since 1970, or how long ago; for clap.
///
/// # Errors
/// When it is none of them.
pub(crate) fn parse(text: &str) -> Result<OffsetDateTime, MomentError> {
    let now = OffsetDateTime::now_utc();
    // A host whose zone cannot be told is taken to be in UTC.
    logs::parse_moment(text, now, UtcOffset::local_offset_at(now).unwrap_or(UtcOffset::UTC))
}
