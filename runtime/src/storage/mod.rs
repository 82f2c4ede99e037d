//! What containers write: their writable layers.

mod blank;
mod sparse_copy;
mod writable_layer;

pub use blank::BlankError;
pub use writable_layer::{DEFAULT_LAYER_BYTES, WritableLayerError, create as create_writable_layer};
