//! The last garbage collection of a store of Nix.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::HostName;

/// Whose store of Nix it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NixStore {
    /// That of the machine that we run on.
    Controller,
    /// A host's.
    Host(HostName),
}

/// How a garbage collection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// When it began; kept to the microsecond.
    pub began_at: Timestamp,
    /// When it ended; kept to the microsecond.
    pub ended_at: Timestamp,
    /// How.
    pub result: CollectionResult,
    /// How much it freed, in bytes.
    pub freed: u64,
    /// For people; may be empty. At most 8 KiB are kept.
    pub detail: String,
}

/// Whether a garbage collection did all that it was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectionResult {
    /// It did.
    Done,
    /// It did not; what it freed until then is free.
    Failed,
}

impl CollectionResult {
    /// Its name in the database, in metrics and in an API answer.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}
