//! What is the same in all entries of a container.

use std::collections::BTreeMap;

use crate::container::Container;
use crate::container::settings::{LogTag, LogTagField};

/// Docker's `attrs` of the json-file driver: the tag, if the user asked for one.
pub(super) fn of(container: &Container) -> BTreeMap<String, String> {
    let tag = container.record.settings.log_config.tag();
    tag.map(|tag| ("tag".to_owned(), render(&tag, container))).into_iter().collect()
}

/// The tag of this container.
pub(super) fn render(tag: &LogTag, container: &Container) -> String {
    let record = &container.record;
    tag.render(|field| match field {
        LogTagField::Id => container.id.short().to_owned(),
        LogTagField::FullId => container.id.to_string(),
        LogTagField::Name => container.name.to_string(),
        LogTagField::ImageId => {
            let digits = record.image_id.strip_prefix("sha256:").unwrap_or(&record.image_id);
            digits.get(..12).unwrap_or(digits).to_owned()
        }
        LogTagField::ImageFullId => record.image_id.clone(),
        LogTagField::ImageName => record.image.clone(),
        LogTagField::DaemonName => "holm".to_owned(),
    })
}
