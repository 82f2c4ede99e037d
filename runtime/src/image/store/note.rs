//! Events of images ([`crate::events`]).

use super::{ImageStore, Removal};
use crate::container::settings::Labels;
use crate::events::{Event, Journal, Kind};
use crate::image::{Digest, Image, Reference};

impl ImageStore {
    /// Writes down that something happened to an image by its name, as pulls and pushes do.
    pub(super) fn note_name(&self, action: &str, name: &Reference, labels: Labels) {
        self.note(action, &name.familiar(), &name.familiar_repository(), labels);
    }

    /// Writes down that something happened to an image.
    pub(super) fn note_id(&self, action: &str, id: &Digest) {
        self.note(action, &id.to_string(), &id.to_string(), Labels::new());
    }

    /// Writes down that an image got a name.
    pub(super) fn note_tag(&self, id: &Digest, name: &Reference) {
        self.note("tag", &id.to_string(), &name.familiar(), Labels::new());
    }

    pub(super) fn note_image(&self, action: &str, image: &Image) {
        let id = image.id().to_string();
        self.note(action, &id, &id, image.labels());
    }

    /// Writes down a removal: of names, and of the image with the last one.
    pub(super) fn note_removal(&self, id: &Digest, removal: &Removal) {
        removal.untagged.iter().for_each(|_| self.note_id("untag", id));
        if removal.deleted.contains(id) {
            self.note_id("delete", id);
        }
    }

    fn note(&self, action: &str, id: &str, name: &str, labels: Labels) {
        let mut attributes = labels;
        attributes.insert("name".to_owned(), name.to_owned());
        if let Some(journal) = self.journal() {
            journal.note(&Event::now(Kind::Image, action, id, attributes));
        }
    }

    pub(super) fn journal(&self) -> Option<Journal> {
        // <root>/image
        self.paths.base().parent().map(Journal::of)
    }
}
