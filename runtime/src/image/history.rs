//! How an image was made, as its config tells it (image-spec config.md, `history`).
//!
//! Trust: the texts are the image's own words, of any length up to the config's; whoever shows them makes them printable.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::store::staging::read_layer;
use super::{Digest, Image, ImageError};

/// One step, as a Dockerfile's instruction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryStep {
    /// When it was done, if it says so.
    pub created: Option<OffsetDateTime>,
    /// The command.
    pub created_by: String,
    /// Its author's words.
    pub comment: String,
    /// Of the files in its layer; 0 for a step that changed none.
    pub size_bytes: u64,
}

impl Image {
    /// The steps, latest first.
    ///
    /// # Errors
    /// A layer is damaged, or the config tells of more layers than there are.
    pub fn history(&self) -> Result<Vec<HistoryStep>, ImageError> {
        let mut layers = self.layers.iter();
        let mut steps = Vec::new();
        for step in self.config.history().iter().flatten() {
            let size_bytes = match step.empty_layer() {
                Some(true) => 0,
                _ => match layers.next() {
                    Some(layer) => self.layer_bytes(layer)?,
                    None => return Err(self.too_long_a_history()),
                },
            };
            let created =
                step.created().as_deref().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let (created_by, comment) = (text(step.created_by()), text(step.comment()));
            steps.push(HistoryStep { created, created_by, comment, size_bytes });
        }
        steps.reverse();
        Ok(steps)
    }

    fn layer_bytes(&self, layer: &Digest) -> Result<u64, ImageError> {
        let path = self.paths.layer(layer);
        let tree = read_layer(&path);
        tree.map(|tree| tree.content_bytes)
            .map_err(|error| ImageError::Damaged { path, reason: error.to_string() })
    }

    fn too_long_a_history(&self) -> ImageError {
        let reason = format!("its history has more layers than the {} that it names", self.layers.len());
        ImageError::Inconsistent { blob: self.id.to_string(), reason }
    }
}
