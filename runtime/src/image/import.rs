//! `import`: a root file system tar becomes an image of one layer.

use super::Reference;

/// What an imported image gets beside its files.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Its name.
    pub name: Option<Reference>,
    /// Recorded in the history.
    pub message: Option<String>,
    /// Config settings, applied in order.
    pub changes: Vec<ConfigChange>,
}

/// One `--change`, as a Dockerfile instruction sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange(String);
