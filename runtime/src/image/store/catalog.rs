//! `repositories.json`: which images there are, and their names. What it does not name is garbage.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::paths::Paths;
use crate::durable;
use crate::image::{Digest, ImageError, Reference};

const VERSION: u32 = 1;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Catalog {
    version: u32,
    /// By image ID.
    pub(super) images: BTreeMap<Digest, Record>,
    /// Full names (with the registry) to image IDs. Those with a digest and no tag are pins: under which digests a
    /// registry gave the image, of its manifest or of an index over it.
    pub(super) names: BTreeMap<String, Digest>,
}

/// What the store knows about an image beside its config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The manifest that it came with.
    pub(super) manifest: Option<Digest>,
    /// diffIDs, lowest first.
    pub(super) layers: Vec<Digest>,
    /// Sum of all files' sizes.
    pub(super) size_bytes: u64,
    /// Removed by force while in use: stays until it no longer is, under no name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) removed: bool,
}

impl Default for Catalog {
    fn default() -> Self {
        Self { version: VERSION, images: BTreeMap::new(), names: BTreeMap::new() }
    }
}

impl Catalog {
    /// The file, or an empty catalog where there is none yet.
    pub(super) fn read(paths: &Paths) -> Result<Self, ImageError> {
        let path = paths.catalog();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(ImageError::io("read", &path)(error)),
        };
        let damaged = |reason: String| ImageError::Damaged { path: path.clone(), reason };
        let catalog: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if catalog.version != VERSION {
            return Err(damaged(format!("version {}; this is for {VERSION}", catalog.version)));
        }
        Ok(catalog)
    }

    /// Replaces the file; durable when it returns.
    pub(super) fn write(&self, paths: &Paths) -> Result<(), ImageError> {
        let path = paths.catalog();
        let json = serde_json::to_vec_pretty(self)
            .map_err(|source| ImageError::Invalid { blob: path.display().to_string(), source })?;
        holm_faults::fault!("image.catalog.write")
            .and_then(|()| durable::write(&path, &json))
            .map_err(ImageError::io("write", &path))
    }

    /// An image by name, by ID, or by an unambiguous prefix of its ID; with the name if it was named so.
    pub(super) fn find(&self, name_or_id: &str) -> Result<(Digest, Option<Reference>), ImageError> {
        if let Ok(name) = name_or_id.parse::<Reference>()
            && let Some(id) = self.by_name(&name)
        {
            return Ok((id, Some(name)));
        }
        let prefix = name_or_id.strip_prefix("sha256:").unwrap_or(name_or_id);
        let not_found = || ImageError::NotFound(name_or_id.to_owned());
        if prefix.is_empty()
            || prefix.len() > 64
            || !prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(not_found());
        }
        // A container knows its image by the whole ID, and must find it as long as it needs it.
        if let Ok(id) = Digest::from_hex(prefix)
            && self.images.contains_key(&id)
        {
            return Ok((id, None));
        }
        let mut matches =
            self.images.iter().filter(|(id, record)| !record.removed && id.hex().starts_with(prefix));
        let (id, _) = matches.next().ok_or_else(not_found)?;
        match matches.next() {
            None => Ok((*id, None)),
            Some(_) => Err(ImageError::Ambiguous(name_or_id.to_owned())),
        }
    }

    fn by_name(&self, name: &Reference) -> Option<Digest> {
        if let Some(id) = self.names.get(&name.to_string()) {
            return Some(*id);
        }
        let digest: Digest = name.digest()?.parse().ok()?;
        if let Some(id) = self.names.get(&name.pinned_to(&digest).to_string()) {
            return Some(*id);
        }
        // Or any tag of that repository whose image came with that manifest.
        self.images
            .iter()
            .filter(|(_, record)| !record.removed && record.manifest == Some(digest))
            .map(|(id, _)| *id)
            .find(|id| self.names_of(id).iter().any(|other| other.is_in_repository_of(name)))
    }

    /// All names of an image, sorted.
    pub(super) fn names_of(&self, id: &Digest) -> Vec<Reference> {
        self.references_to(id).filter(|name| name.digest().is_none()).collect()
    }

    /// All repositories and digests under which registries gave an image, sorted.
    pub(super) fn pins_of(&self, id: &Digest) -> Vec<Reference> {
        self.references_to(id).filter(|name| name.digest().is_some()).collect()
    }

    fn references_to<'a>(&'a self, id: &'a Digest) -> impl Iterator<Item = Reference> + 'a {
        self.names.iter().filter(move |(_, other)| *other == id).filter_map(|(name, _)| name.parse().ok())
    }

    /// Takes the pins of a repository away from an image that has no name there any more.
    pub(super) fn drop_pins(&mut self, id: &Digest, of: &Reference) -> Vec<Reference> {
        if self.names_of(id).iter().any(|name| name.is_in_repository_of(of)) {
            return Vec::new();
        }
        let pins = self.pins_of(id).into_iter().filter(|pin| pin.is_in_repository_of(of));
        pins.filter(|pin| self.names.remove(&pin.to_string()).is_some()).collect()
    }
}
