//! `holm system df -v`: a row for each image, each container and each volume.

use std::collections::BTreeMap;

use anyhow::Result;
use holm_runtime::container::settings::Mount;
use holm_runtime::container::{Container, State};
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

const VOLUMES: [(&str, &str); 3] = [("VOLUME NAME", "Name"), ("LINKS", "Links"), ("SIZE", "Size")];

/// Prints three tables, or all as one object.
pub(super) fn print(format: &Format) -> Result<()> {
    let (images, containers, volumes) = (images()?, containers()?, volumes()?);
    if matches!(format, Format::Table) {
        output::line("Images space usage:\n");
        format.print(&IMAGES, &images)?;
        output::line("\nContainers space usage:\n");
        format.print(&CONTAINERS, &containers)?;
        output::line("\nLocal Volumes space usage:\n");
        return format.print(&VOLUMES, &volumes);
    }
    format.print(
        &[],
        &[json!({ "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": [] })],
    )
}

fn volumes() -> Result<Vec<Value>> {
    let (store, containers) = (crate::commands::volumes()?, crate::commands::containers()?);
    let mut rows = Vec::new();
    for volume in store.list()? {
        rows.push(json!({
            "Name": volume.name.to_string(),
            "Links": volume.users(&containers)?.len().to_string(),
            "Size": output::size(disk_usage_bytes(&volume.data())),
        }));
    }
    Ok(rows)
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
    let containers = crate::commands::containers()?.list_states()?;
    let describe = |(container, state): &(Container, State)| {
        json!({
            "ID": container.id.short(),
            "Image": container.record.image,
            "LocalVolumes": container.record.settings.mounts.iter().filter_map(Mount::volume).count().to_string(),
            "Size": output::size(disk_usage_bytes(container.directory())),
            "RunningFor": output::ago(container.record.created),
            "State": state.status.to_string(),
            "Names": container.name.to_string(),
        })
    };
    Ok(containers.iter().map(describe).collect())
}
