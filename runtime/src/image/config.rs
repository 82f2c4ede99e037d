//! An image's config, checked.

use oci_spec::image::ImageConfiguration;

use super::{Digest, ImageError, platform};

/// Most layers of one image; Docker makes at most 127.
const MAX_LAYERS: usize = 256;

/// A config and what the store needs of it.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) json: Vec<u8>,
    pub(super) id: Digest,
    pub(super) parsed: ImageConfiguration,
    pub(super) diff_ids: Vec<Digest>,
}

impl Config {
    /// Reads a config; `blob` is its name for messages.
    pub(super) fn parse(json: Vec<u8>, blob: &str) -> Result<Self, ImageError> {
        let parsed: ImageConfiguration = serde_json::from_slice(&json)
            .map_err(|source| ImageError::Invalid { blob: blob.to_owned(), source })?;
        let inconsistent = |reason| ImageError::Inconsistent { blob: blob.to_owned(), reason };
        let diff_ids: Vec<Digest> = parsed
            .rootfs()
            .diff_ids()
            .iter()
            .map(|text| text.parse().map_err(|error| inconsistent(format!("{error}"))))
            .collect::<Result<_, _>>()?;
        if diff_ids.len() > MAX_LAYERS {
            return Err(inconsistent(format!("{} layers; at most {MAX_LAYERS} are allowed", diff_ids.len())));
        }
        Ok(Self { id: Digest::of(&json), json, parsed, diff_ids })
    }

    /// Refuses what this host cannot run.
    pub(super) fn check_platform(&self, image: &str) -> Result<(), ImageError> {
        let (os, architecture) = (self.parsed.os().to_string(), self.parsed.architecture().to_string());
        if platform::fits(&os, &architecture) {
            return Ok(());
        }
        Err(ImageError::Platform {
            image: image.to_owned(),
            found: format!("{os}/{architecture}"),
            host: platform::HOST,
        })
    }
}
