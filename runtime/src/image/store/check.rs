//! Whether the store is sound: every image, its layers, and nothing that no image needs.
//!
//! The lock is held while files are compared with the catalog, not while they are read: what is damaged counts only if the
//! catalog still names it afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::catalog::{Catalog, Record};
use super::lock::StoreLock;
use super::lookup;
use super::paths::Paths;
use super::remove::Needed;
use super::staging::{read_layer, stale};
use crate::check::{Depth, Finding};
use crate::durable;
use crate::image::layer::{LayerError, rebuild, tar_bytes};
use crate::image::rootfs;
use crate::image::{Digest, ImageError};

pub(super) fn check(paths: &Paths, depth: Depth, found: &mut dyn FnMut(Finding)) -> Result<(), ImageError> {
    let lock = StoreLock::take(paths)?;
    let catalog = match Catalog::read(paths) {
        Ok(catalog) => catalog,
        Err(ImageError::Damaged { path, reason }) => {
            // Without it nothing else can be told from garbage.
            found(Finding::unsound(path, reason));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    leftovers(paths, &catalog, found)?;
    drop(lock);
    for (name, id) in &catalog.names {
        if !catalog.images.contains_key(id) {
            found(Finding::unsound(paths.catalog(), format!("{name} stands for {id}, which is not there")));
        }
    }
    let mut layers = BTreeSet::new();
    for (id, record) in &catalog.images {
        let mut findings = Vec::new();
        documents(paths, &catalog, id, record, &mut findings);
        for layer in record.layers.iter().filter(|layer| layers.insert(**layer)) {
            if let Err(error) = check_layer(&paths.layer(layer), layer, depth) {
                findings.push(Finding::damaged(paths.layer(layer), &error));
            }
        }
        // What a removal took away meanwhile was sound.
        if !findings.is_empty() && Catalog::read(paths)?.images.contains_key(id) {
            findings.into_iter().for_each(&mut *found);
        }
    }
    Ok(())
}

/// The config and the manifest.
fn documents(paths: &Paths, catalog: &Catalog, id: &Digest, record: &Record, findings: &mut Vec<Finding>) {
    if let Err(error) = lookup::image(paths, catalog, id, record) {
        findings.push(Finding::damaged(paths.blob(id), &error));
    }
    if let Some(digest) = record.manifest {
        let place = paths.blob(&digest);
        match fs::read(&place).map(|json| Digest::of(&json)) {
            Ok(actual) if actual == digest => {}
            Ok(actual) => findings.push(Finding::unsound(place, format!("it has digest {actual}"))),
            Err(error) => findings.push(Finding::damaged(place, &error)),
        }
    }
}

fn check_layer(directory: &Path, diff_id: &Digest, depth: Depth) -> Result<(), LayerError> {
    read_layer(directory)?;
    match depth {
        Depth::Quick => tar_bytes(directory).map(drop),
        Depth::Full => rebuild(directory, diff_id, &mut io::sink()),
    }
}

/// What no image needs, and what no process works on.
fn leftovers(paths: &Paths, catalog: &Catalog, found: &mut dyn FnMut(Finding)) -> Result<(), ImageError> {
    let needed = Needed::by(catalog);
    for (directory, kept) in
        [(paths.merged(), &needed.stacks), (paths.blobs(), &needed.blobs), (paths.layers(), &needed.layers)]
    {
        for place in super::remove::others(&directory, kept)? {
            found(Finding::leftover(place, "no image needs it"));
        }
    }
    for stack in needed.stacks {
        let place = paths.merged_stack(&stack);
        if place.exists() && rootfs::open(paths, &stack).is_none() {
            found(Finding::leftover(place, "it is damaged, and made again when it is needed"));
        }
    }
    for place in durable::leftovers(paths.base()).map_err(ImageError::io("read", paths.base()))? {
        found(Finding::leftover(place, "the command that wrote it was killed"));
    }
    for place in stale(paths)? {
        found(Finding::leftover(place, "the command that made it was killed"));
    }
    Ok(())
}
