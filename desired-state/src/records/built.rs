//! What a revision builds to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{RepositoryName, Revision};

/// What a host's configuration evaluates to in a revision, and when it was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The repository that the revision belongs to.
    pub repository: RepositoryName,
    /// Which configuration of it: `folder#name`. At most 255 bytes.
    pub attribute: String,
    /// The revision.
    pub revision: Revision,
    /// The derivation's store path. At most 1024 bytes.
    pub derivation: String,
    /// The toplevel's store path. At most 1024 bytes.
    pub toplevel: String,
    /// The system it is for: `x86_64-linux`. At most 64 bytes.
    pub system: String,
    /// When it was built; `None` while it is evaluated only. Kept to the microsecond.
    pub built_at: Option<Timestamp>,
}
