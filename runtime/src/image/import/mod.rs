//! `import`: a root file system tar becomes an image of one layer.

mod change;
mod instruction;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::change::{ChangeError, ConfigChange};
use super::compose::{stage_image, stage_layer};
use super::layer::LayerLimits;
use super::load::{name_of, open_stream};
use super::store::{NewImage, Staging};
use super::{Archive, Digest, ImageError, Progress, Reference};

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
    let report = &mut |bytes| progress(Progress::Spooling { bytes });
    let unusable = |source| ImageError::Archive { archive: name.clone(), source };
    let layer = stage_layer(staging, open_stream(tar)?.into_reader(), limits, report, unusable)?;
    let document = document(config, &layer.diff_id, &name, options);
    let names = options.name.clone().into_iter().collect();
    stage_image(staging, &document, vec![layer.diff_id], names, layer.content_bytes)
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
