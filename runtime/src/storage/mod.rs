//! What containers write: their writable layers.

mod blank;
mod sparse_copy;
mod writable_layer;

pub use blank::{BlankError, Durability};
pub use writable_layer::{WritableLayerError, create as create_writable_layer};
