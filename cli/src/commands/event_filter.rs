//! `--filter` of `holm events`.

use std::str::FromStr;

use holm_runtime::events::{Event, Kind};

use crate::filters;
use crate::label_match::LabelMatch;

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EventFilter {
    /// By name or the beginning of its id.
    Container(String),
    /// By name or id, also of a container's image.
    Image(String),
    /// By name or the beginning of its id.
    Network(String),
    Event(String),
    Kind(Kind),
    Label(LabelMatch),
    /// Always `local`.
    Scope(String),
}

impl FromStr for EventFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("invalid filter: want KEY=VALUE")?;
        let text = value.to_owned();
        match (key, value) {
            ("container", _) => Ok(Self::Container(text)),
            ("image", _) => Ok(Self::Image(text)),
            ("network", _) => Ok(Self::Network(text)),
            ("event", _) => Ok(Self::Event(text)),
            ("type", "container") => Ok(Self::Kind(Kind::Container)),
            ("type", "image") => Ok(Self::Kind(Kind::Image)),
            ("type", "network") => Ok(Self::Kind(Kind::Network)),
            ("label", _) => Ok(Self::Label(LabelMatch::new(value))),
            ("scope", _) => Ok(Self::Scope(text)),
            ("type", _) => Err(format!("invalid filter 'type={value}': want container, image or network")),
            _ => Err(format!("invalid filter '{key}'")),
        }
    }
}

impl EventFilter {
    fn passes(&self, event: &Event) -> bool {
        let attribute = |name: &str| event.actor.attributes.get(name).map_or("", String::as_str);
        // `app` stands for `app:latest` too.
        let is_image = |name: &str, wanted: &str| {
            name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(':'))
        };
        match self {
            Self::Container(wanted) => {
                event.kind == Kind::Container
                    && (event.actor.id.starts_with(wanted) || attribute("name") == wanted)
            }
            Self::Network(wanted) => {
                event.kind == Kind::Network
                    && (event.actor.id.starts_with(wanted) || attribute("name") == wanted)
            }
            Self::Image(wanted) => match event.kind {
                Kind::Container => is_image(attribute("image"), wanted),
                Kind::Network => false,
                Kind::Image => is_image(&event.actor.id, wanted) || is_image(attribute("name"), wanted),
            },
            // `exec_create` stands for `exec_create: ls`, `health_status` for `health_status: healthy`.
            Self::Event(wanted) => {
                event.action.strip_prefix(wanted.as_str()).is_some_and(|r| r.is_empty() || r.starts_with(':'))
            }
            Self::Kind(wanted) => event.kind == *wanted,
            Self::Label(wanted) => wanted.matches(&event.actor.attributes),
            Self::Scope(wanted) => event.scope == *wanted,
        }
    }
}

/// Whether an event passes them all.
pub(super) fn passes(filters: &[EventFilter], event: &Event) -> bool {
    filters::pass(filters, |filter| matches!(filter, EventFilter::Label(_)), |filter| filter.passes(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_dockers() {
        let attributes =
            [("name", "web"), ("image", "app:v1"), ("tier", "1")].map(|(k, v)| (k.into(), v.into()));
        let event = Event::now(Kind::Container, "exec_create: ls -l", "abcd", attributes.into());
        for (texts, expected) in [
            (&[][..], true),
            (&["container=web", "container=other"], true),
            (&["container=ab", "type=container", "label=tier=1"], true),
            (&["container=web", "type=image"], false),
            (&["label=tier", "label=other"], false),
            (&["image=app"], true),
            (&["image=ap"], false),
            (&["event=exec_create"], true),
            (&["event=exec"], false),
            (&["scope=swarm"], false),
        ] {
            let filters: Vec<EventFilter> = texts.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(passes(&filters, &event), expected, "{texts:?}");
        }
        for text in ["type=node", "colour=red", "container"] {
            assert!(text.parse::<EventFilter>().is_err(), "{text}");
        }
    }
}
