//! What containers write: their writable layers.
#![forbid(unsafe_code)]

mod blank;
mod sparse_copy;
mod writable_layer;

pub use blank::BlankError;
pub(crate) use blank::leftovers as blank_leftovers;
pub(crate) use sparse_copy::{sparse_copy, sparse_sum};
pub use writable_layer::{WritableLayerError, create as create_writable_layer};
