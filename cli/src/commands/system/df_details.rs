//! `holm system df -v`: a row for each image and each container.

use std::collections::BTreeMap;

use anyhow::Result;
use holm_runtime::host::disk_usage_bytes;
use holm_runtime::image::{Digest, Reference};
use serde_json::{Value, json};

use crate::format::Format;
use crate::output;

const IMAGES: [(&str, &str); 8] = [
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
    ("SHARED SIZE", "SharedSize"),
    ("UNIQUE SIZE", "UniqueSize"),
    ("CONTAINERS", "Containers"),
];
const CONTAINERS: [(&str, &str); 7] = [
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("LOCAL VOLUMES", "LocalVolumes"),
    ("SIZE", "Size"),
    ("CREATED", "RunningFor"),
    ("STATUS", "State"),
    ("NAMES", "Names"),
];

/// Prints two tables, or both as one object.
pub(super) fn print(format: &Format) -> Result<()> {
    let (images, containers) = (images()?, containers()?);
    if matches!(format, Format::Table) {
        output::line("Images space usage:\n");
        format.print(&IMAGES, &images)?;
        output::line("\nContainers space usage:\n");
        return format.print(&CONTAINERS, &containers);
    }
    format
        .print(&[], &[json!({ "Images": images, "Containers": containers, "Volumes": [], "BuildCache": [] })])
}

fn images() -> Result<Vec<Value>> {
    let (store, containers) = (crate::commands::images()?, crate::commands::containers()?);
    let images = store.list()?;
    let mut users: BTreeMap<&Digest, u32> = BTreeMap::new();
    for layer in images.iter().flat_map(|image| image.layers()) {
        *users.entry(layer).or_default() += 1;
    }
    let mut rows = Vec::new();
    for image in &images {
        let bytes = |wanted: &dyn Fn(&Digest) -> bool| -> u64 {
            image
                .layers()
                .iter()
                .filter(|layer| wanted(layer))
                .map(|layer| store.layer_disk_bytes(layer))
                .sum()
        };
        let is_shared = |layer: &Digest| users.get(layer).is_some_and(|count| *count > 1);
        let (shared, unique) = (bytes(&is_shared), bytes(&|layer| !is_shared(layer)));
        let name = image.names().first();
        rows.push(json!({
            "Repository": name.map_or_else(|| "<none>".to_owned(), Reference::familiar_repository),
            "Tag": name.and_then(Reference::tag).unwrap_or("<none>"),
            "ID": image.id().short(),
            "CreatedSince": image.created().map_or_else(|| "N/A".to_owned(), output::ago),
            "Size": output::size(shared.saturating_add(unique)),
            "SharedSize": output::size(shared),
            "UniqueSize": output::size(unique),
            "Containers": containers.users_of(&image.id()).len().to_string(),
        }));
    }
    Ok(rows)
}

fn containers() -> Result<Vec<Value>> {
    let containers = crate::commands::containers()?.list()?;
    containers
        .iter()
        .map(|container| {
            Ok(json!({
                "ID": container.id.short(),
                "Image": container.record.image,
                "LocalVolumes": "0",
                "Size": output::size(disk_usage_bytes(container.directory())),
                "RunningFor": output::ago(container.record.created),
                "State": container.state()?.status.to_string(),
                "Names": container.name.to_string(),
            }))
        })
        .collect()
}
