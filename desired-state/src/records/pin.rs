//! A person holds a host at a revision.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{BranchName, HostName, Revision};

/// A host is held at a revision by a person, whatever its branch does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Which host.
    pub host: HostName,
    /// The revision that it is held at.
    pub revision: Revision,
    /// The action to take there, by its name: `switch`, `boot`, `test`. At most 64 bytes.
    pub action: String,
    /// The branch that the revision was taken from, when the person named a branch.
    pub branch: Option<BranchName>,
    /// Who pinned it. At most 255 bytes are kept.
    pub by: String,
    /// Since when; kept to the microsecond.
    pub since: Timestamp,
}
