//! What a target is.

use crate::targets::TARGETS;

/// One thing that is given arbitrary bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called by.
    pub name: &'static str,
    /// Must return, whatever it is given.
    pub run: fn(&[u8]),
    /// Inputs that reach far; the same at each call.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longest input in bytes.
    pub max_bytes: usize,
    /// The sources that it is about, for the report: parts of their paths.
    pub code: &'static [&'static str],
    /// Words of its formats, which no flip of a bit finds.
    pub words: &'static [&'static [&'static str]],
}

/// A target by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
