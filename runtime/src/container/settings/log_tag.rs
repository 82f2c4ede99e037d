//! `--log-opt tag={{.Name}}/{{.ID}}`: a text in every log entry that says whose it is.

use std::str::FromStr;

/// A tag with Docker's placeholders in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTag(Vec<Part>);

/// Why a tag is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid log tag {0:?}: want text with {{{{.ID}}}}, {{{{.FullID}}}}, {{{{.Name}}}}, {{{{.ImageID}}}}, \
     {{{{.ImageFullID}}}}, {{{{.ImageName}}}} or {{{{.DaemonName}}}} in it"
)]
pub struct LogTagError(String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// First twelve digits of the container's id.
    Id,
    /// All of them.
    FullId,
    /// The container's name.
    Name,
    /// First twelve digits of the image's id.
    ImageId,
    /// The image's id, `sha256:...`.
    ImageFullId,
    /// The image as the user named it.
    ImageName,
    /// `holm`.
    DaemonName,
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            ".ID" => Self::Id,
            ".FullID" => Self::FullId,
            ".Name" => Self::Name,
            ".ImageID" => Self::ImageId,
            ".ImageFullID" => Self::ImageFullId,
            ".ImageName" => Self::ImageName,
            ".DaemonName" => Self::DaemonName,
            _ => return None,
        })
    }
}

impl LogTag {
    /// The text, with what `value` gives in the place of each placeholder.
    #[must_use]
    pub fn render(&self, value: impl Fn(Field) -> String) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(field) => value(*field),
        });
        parts.collect()
    }
}

impl FromStr for LogTag {
    type Err = LogTagError;

    fn from_str(text: &str) -> Result<Self, LogTagError> {
        let invalid = || LogTagError(text.to_owned());
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(invalid)?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Field(Field::named(name.trim()).ok_or_else(invalid)?));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let tag: LogTag = "web/{{.Name}}-{{ .ID }}".parse().unwrap();
        let rendered = tag.render(|field| format!("<{field:?}>"));
        assert_eq!(rendered, "web/<Name>-<Id>");
        assert_eq!("plain".parse::<LogTag>().unwrap().render(|_| String::new()), "plain");
    }

    #[test]
    fn other_templates_are_refused() {
        for text in ["{{.Nope}}", "{{.ID", "{{ range . }}", "{{}}"] {
            assert_eq!(text.parse::<LogTag>(), Err(LogTagError(text.into())), "{text}");
        }
        assert!(LogTagError("x".into()).to_string().contains("{{.ID}}"));
    }
}
