//! Placeholder.

pub mod image;
