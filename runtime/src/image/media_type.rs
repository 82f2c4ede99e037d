//! What the blobs of images are called (image-spec media-types.md; Docker's "Image Manifest Version 2, Schema 2"), and how
//! documents refer to them.

use serde_json::{Value, json};

use super::Digest;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A descriptor (image-spec descriptor.md).
pub(crate) fn descriptor(media_type: &str, digest: &Digest, bytes: u64) -> Value {
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes })
}
