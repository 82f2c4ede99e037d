//! Images from and to registries: the store's side of it. [`crate::registry`] has the other.

mod pull;
mod push;
mod source;

pub use pull::Pulled;
pub(super) use pull::stage;
pub(super) use push::push;
pub use push::{PushProgress, PushReport, Pushed};
