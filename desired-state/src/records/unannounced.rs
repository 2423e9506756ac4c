//! What a poll found and no delivery announced.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{BranchName, RepositoryName, Revision};

/// A branch's new tip that a poll found, while its delivery never came: the webhook does not work, or lost one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unannounced {
    /// The repository.
    pub repository: RepositoryName,
    /// The branch that moved.
    pub branch: BranchName,
    /// Where it moved to.
    pub revision: Revision,
    /// When the poll found it; kept to the microsecond.
    pub found_at: Timestamp,
}
