//! `--filter` of the prune verbs: `until=TIME`, `label=KEY[=VALUE]`, `label!=KEY[=VALUE]`.

use std::str::FromStr;

use holm_runtime::container::settings::Labels;
use time::OffsetDateTime;

use crate::label_match::LabelMatch;
use crate::moment;

/// What is to be pruned; all filters must pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PruneFilter {
    Until(OffsetDateTime),
    Label(LabelMatch),
    NotLabel(LabelMatch),
}

impl FromStr for PruneFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("invalid filter: want KEY=VALUE")?;
        match key {
            "until" => moment::parse(value).map(Self::Until).map_err(|error| error.to_string()),
            "label" => Ok(Self::Label(LabelMatch::new(value))),
            "label!" => Ok(Self::NotLabel(LabelMatch::new(value))),
            _ => Err(format!("invalid filter '{key}'")),
        }
    }
}

/// Whether something made at this time, with these labels, passes.
pub(super) fn passes(filters: &[PruneFilter], created: Option<OffsetDateTime>, labels: &Labels) -> bool {
    filters.iter().all(|filter| match filter {
        PruneFilter::Until(until) => created.is_none_or(|created| created < *until),
        PruneFilter::Label(wanted) => wanted.matches(labels),
        PruneFilter::NotLabel(unwanted) => !unwanted.matches(labels),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_filters_must_pass() {
        let labels: Labels = [("keep".to_owned(), "yes".to_owned())].into();
        let old = OffsetDateTime::now_utc() - time::Duration::DAY;
        for (texts, expected) in [
            (&["until=1h"][..], true),
            (&["until=48h"], false),
            (&["until=1h", "label=keep=yes"], true),
            (&["until=1h", "label=keep=no"], false),
            (&["label!=keep"], false),
            (&["label!=keep=no"], true),
        ] {
            let filters: Vec<PruneFilter> = texts.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(passes(&filters, Some(old), &labels), expected, "{texts:?}");
        }
        for text in ["until", "until=yesterday", "name=x"] {
            assert!(text.parse::<PruneFilter>().is_err(), "{text}");
        }
    }
}
