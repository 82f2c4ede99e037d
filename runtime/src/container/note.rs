//! Events of a container ([`crate::events`]).

use std::path::Path;

use super::store::Container;
use crate::events::{Event, Journal, Kind};

impl Container {
    /// Writes down that something happened to it. `more` is what belongs to the action, such as `exitCode`.
    pub fn note(&self, action: &str, more: &[(&str, String)]) {
        let mut attributes = self.record.settings.labels.clone();
        attributes.insert("image".to_owned(), self.record.image.clone());
        attributes.insert("name".to_owned(), self.name.to_string());
        attributes.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        // <root>/containers/<id>
        if let Some(root) = self.directory().parent().and_then(Path::parent) {
            Journal::of(root).note(&Event::now(Kind::Container, action, self.id.as_str(), attributes));
        }
    }
}
