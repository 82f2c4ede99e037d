//! One event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
}

/// The thing that it happened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Actor {
    /// A container's id; an image's, or the name that it is pulled and pushed by.
    #[serde(rename = "ID")]
    pub id: String,
    /// Labels, name, image, and what belongs to the action, such as `exitCode`.
    pub attributes: BTreeMap<String, String>,
}

/// An event with the names of Docker's API (moby api/types/events).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The action, as old clients know it.
    pub status: String,
    /// The actor's id, as old clients know it.
    pub id: String,
    /// The container's image, as old clients know it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// What it is about.
    #[serde(rename = "Type")]
    pub kind: Kind,
    /// `start`, `die`, `pull`, ...
    #[serde(rename = "Action")]
    pub action: String,
    /// To what it happened.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// Always `local`.
    pub scope: String,
    /// Seconds since 1970.
    pub time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_ns: i64,
}

impl Event {
    /// Something that happens now.
    #[must_use]
    pub fn now(kind: Kind, action: &str, id: &str, attributes: BTreeMap<String, String>) -> Self {
        let now = OffsetDateTime::now_utc();
        let from = match kind {
            Kind::Container => attributes.get("image").cloned().unwrap_or_default(),
            Kind::Image | Kind::Network => String::new(),
        };
        Self {
            status: action.to_owned(),
            id: id.to_owned(),
            from,
            kind,
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes },
            scope: "local".to_owned(),
            time: now.unix_timestamp(),
            time_ns: i64::try_from(now.unix_timestamp_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// When it happened.
    #[must_use]
    pub fn moment(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(self.time_ns.into()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}
