//! A configuration with where it came from.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::model::Config;
use super::reader::{NamedPath, Source, Warnings};

/// A configuration as it was loaded, with what is needed to check it and to follow its files.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Arc<Config>,
    /// What does not stop the daemon and should still be looked at.
    pub warnings: Warnings,
    /// Every path that it names.
    pub paths: Vec<NamedPath>,
    /// The text that it was made from.
    pub source: Source,
}

impl Loaded {
    /// The file itself, and every file that it names and the operator provides.
    pub(in crate::config) fn files(&self) -> BTreeSet<PathBuf> {
        let named = self
            .paths
            .iter()
            .filter(|named| named.role.is_provided())
            .map(|named| named.path.clone());
        named.chain([self.source.file.clone()]).collect()
    }
}
