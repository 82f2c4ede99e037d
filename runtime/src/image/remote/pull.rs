//! `pull`: a manifest by name, then whatever of the image the store has not.

use super::source::Repository;
use crate::image::load::{self, verify};
use crate::image::store::{NewImage, Staging};
use crate::image::{Digest, ImageError, LayerLimits, Progress, Reference};
use crate::registry::{Document, Registries, RegistryError, Session, Target};

/// What `pull` got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// sha256 of the config.
    pub id: Digest,
    /// The name that it was pulled by.
    pub name: Reference,
    /// Of the manifest, or of the index that led to it: what `NAME@DIGEST` has to say to get the same again.
    pub digest: Digest,
    /// The name stood for another image before, or for none.
    pub is_new: bool,
}

/// Makes the image in a staging directory. `known` tells whether the store has an image of this ID.
pub(in crate::image) fn stage(
    staging: &Staging,
    registries: &Registries,
    name: &Reference,
    limits: &LayerLimits,
    known: &dyn Fn(&Digest) -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<(NewImage, Digest), ImageError> {
    let target = target(name)?;
    let (session, document) = find(registries, name, &target)?;
    let digest = Digest::of(&document.bytes);
    if let Target::Digest(expected) = &target {
        verify(&format!("manifest for {}", name.familiar()), expected, &digest)?;
    }
    holm_faults::crash!("image.pull.found");
    progress(Progress::Found { digest });
    let repository = Repository { session: &session, name: name.repository() };
    // With both, the digest decides, and the tag is left to what it stands for.
    let names = if name.digest().is_none() { vec![name.clone()] } else { Vec::new() };
    let mut plan = load::plan_of(&repository, names, &name.familiar(), &digest, document.bytes)?;
    plan.pins.push(name.pinned_to(&digest));
    holm_faults::crash!("image.pull.planned");
    let is_known = known(&plan.config.id);
    let image = load::install(staging, &repository, plan, limits, &mut |event| match event {
        // Docker says nothing about the layers of an image that is there.
        Progress::LayerExists { .. } if is_known => {}
        event => progress(event),
    })?;
    Ok((image, digest))
}

fn target(name: &Reference) -> Result<Target, ImageError> {
    Ok(match (name.digest(), name.tag()) {
        (Some(digest), _) => {
            Target::Digest(digest.parse().map_err(|_| ImageError::NotFound(name.familiar()))?)
        }
        (None, tag) => Target::Tag(tag.unwrap_or("latest").to_owned()),
    })
}

/// The manifest from the first mirror that has it, or from the registry itself, whose error counts.
fn find(
    registries: &Registries,
    name: &Reference,
    target: &Target,
) -> Result<(Session, Document), RegistryError> {
    let mut last = None;
    for session in registries.sources(name) {
        let found = session.and_then(|session| {
            let document = session.manifest(name.repository(), target)?;
            Ok((session, document))
        });
        match found {
            Ok(found) => return Ok(found),
            Err(RegistryError::Interrupted) => return Err(RegistryError::Interrupted),
            Err(error) => {
                if let Some(mirror) = last.replace(error) {
                    tracing::info!(error = %mirror, "a mirror did not help");
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| RegistryError::Host(name.registry().to_owned())))
}
