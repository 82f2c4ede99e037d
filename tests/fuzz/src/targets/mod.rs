//! The targets, by what they take for hostile.

mod agent_answers;
mod archive_unpack;
mod balloon_queue;
mod block_queue;
mod console;
mod erofs_image;
mod fs_requests;
mod image_archive;
mod image_config;
mod image_manifest;
mod layer_tar;
mod log_files;
mod names;
mod net_queue;
mod net_stream;
mod oci_bundle;
mod registers;
mod registry_answers;
mod rng_queue;
mod stream_header;
mod template;
mod vm_config;
mod vsock_queue;

use crate::Target;

/// All of them.
pub const TARGETS: &[Target] = &[
    agent_answers::TARGET,
    archive_unpack::TARGET,
    balloon_queue::TARGET,
    block_queue::TARGET,
    console::TARGET,
    erofs_image::TARGET,
    fs_requests::TARGET,
    image_archive::TARGET,
    image_config::TARGET,
    image_manifest::TARGET,
    layer_tar::TARGET,
    log_files::TARGET,
    names::TARGET,
    net_queue::TARGET,
    net_stream::TARGET,
    oci_bundle::TARGET,
    registers::TARGET,
    registry_answers::TARGET,
    rng_queue::TARGET,
    stream_header::TARGET,
    template::TARGET,
    vm_config::TARGET,
    vsock_queue::TARGET,
];
