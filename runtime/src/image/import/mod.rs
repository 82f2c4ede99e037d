//! `import`: a root file system tar becomes an image of one layer.

mod change;
mod instruction;

use std::fs;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::change::{ChangeError, ConfigChange};
use super::config::Config;
use super::layer::{LayerLimits, convert};
use super::load::{layer_error, name_of, open_stream};
use super::store::{NewImage, Staging};
use super::{Archive, Digest, ImageError, Progress, Reference, rootfs};

/// What an imported image gets beside its files.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Its name.
    pub name: Option<Reference>,
    /// Recorded in the history.
    pub message: Option<String>,
    /// Config settings, applied in order.
    pub changes: Vec<ConfigChange>,
}

/// Makes the image in a staging directory.
pub(super) fn stage(
    staging: &Staging,
    tar: Archive,
    options: &ImportOptions,
    limits: &LayerLimits,
    progress: &mut dyn FnMut(Progress),
) -> Result<NewImage, ImageError> {
    let mut config = Map::new();
    for change in &options.changes {
        change.apply(&mut config)?;
    }
    let name = name_of(&tar);
    let directory = staging.file("import");
    fs::create_dir(&directory).map_err(ImageError::io("create", &directory))?;
    let report = &mut |bytes| progress(Progress::Spooling { bytes });
    let converted = convert(open_stream(tar)?.into_reader(), None, &directory, limits, report)
        .map_err(|source| ImageError::Archive { archive: name.clone(), source })?;
    let diff_id = converted.diff_id;
    // The name of a layer's directory is known only now.
    if staging.adopt(&diff_id)?.is_none() {
        let place = staging.layer(&diff_id);
        fs::rename(&directory, &place).map_err(ImageError::io("move into place", &place))?;
    }
    let document = document(config, &diff_id, &name, options);
    let json = serde_json::to_vec(&document)
        .map_err(|source| ImageError::Invalid { blob: "the config".to_owned(), source })?;
    let config = Config::parse(json, "the config")?;
    let layers = vec![diff_id];
    if rootfs::open(staging.paths(), &rootfs::stack_id(&layers)).is_none() {
        let tree_of = |diff_id: &Digest| {
            let path = staging.layer(diff_id).join("tree");
            super::layer::file::read(&path).map_err(layer_error(diff_id))
        };
        rootfs::stage(staging, &layers, tree_of, &config.id.short())?;
    }
    staging.put_blob(&config.json)?;
    Ok(NewImage {
        id: config.id,
        names: options.name.clone().into_iter().collect(),
        pins: Vec::new(),
        manifest: None,
        layers,
        size_bytes: converted.content_bytes,
    })
}

/// The config (image-spec config.md), keys in order.
fn document(config: Map<String, Value>, diff_id: &Digest, source: &str, options: &ImportOptions) -> Value {
    let created = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let comment = options.message.clone().unwrap_or_else(|| format!("Imported from {source}"));
    json!({
        "architecture": "amd64",
        "config": config,
        "created": created,
        "history": [{ "created": created, "comment": comment }],
        "os": "linux",
        "rootfs": { "diff_ids": [diff_id.to_string()], "type": "layers" },
    })
}
