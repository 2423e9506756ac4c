//! The two ways in which a person overrules the branch: a pin and a suspension.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BranchName, HostName, Revision};

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

/// Nothing is deployed to a host until a person resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Which host.
    pub host: HostName,
    /// Why, in the person's words. At most 4 KiB are kept.
    pub why: String,
    /// Who suspended it. At most 255 bytes are kept.
    pub by: String,
    /// Since when; kept to the microsecond.
    pub since: Timestamp,
}
