//! `--filter label=KEY` and `label=KEY=VALUE`.

use holm_runtime::container::settings::Labels;

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelMatch {
    key: String,
    /// `None`: anything.
    value: Option<String>,
}

impl LabelMatch {
    /// Reads what follows `label=`.
    pub(crate) fn new(text: &str) -> Self {
        match text.split_once('=') {
            Some((key, value)) => Self { key: key.to_owned(), value: Some(value.to_owned()) },
            None => Self { key: text.to_owned(), value: None },
        }
    }

    /// Whether there is such a label.
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        let found = labels.get(&self.key);
        found.is_some_and(|value| self.value.as_ref().is_none_or(|wanted| wanted == value))
    }
}

/// Labels as Docker's tables show them: `a=1,b=2`.
pub(crate) fn joined(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    crate::output::printable(&pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_match() {
        let labels: Labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())].into();
        for (text, expected) in [("a", true), ("a=1", true), ("a=", false), ("b=", true), ("c", false)] {
            assert_eq!(LabelMatch::new(text).matches(&labels), expected, "{text}");
        }
        assert_eq!(joined(&labels), "a=1,b=");
    }
}
