//! What a host should run, and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{BranchName, DeliveryId, HostName, RepositoryName, Revision};

/// What a host should run: the revision that its branch had when somebody last looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Whose wish this is.
    pub host: HostName,
    /// The repository that the host follows.
    pub repository: RepositoryName,
    /// The branch that the host follows.
    pub branch: BranchName,
    /// What the host should run; `None` until its branch has been found for the first time.
    pub revision: Option<Revision>,
    /// What became of the branch.
    pub branch_state: BranchState,
    /// What made us look.
    pub cause: Cause,
    /// When the push was received, or found by a poll; kept to the microsecond. Time to convergence counts from here.
    pub requested_at: Timestamp,
    /// When the wish was written down; kept to the microsecond.
    pub recorded_at: Timestamp,
}

/// What became of a branch since it was last followed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum BranchState {
    /// The branch is there, and the wish is its tip.
    Present,
    /// The branch was deleted, or never was: the host keeps its revision.
    Gone,
    /// A forced push moved the branch to a revision that does not descend from the wish, and policy refuses it:
    /// the host keeps its revision.
    Rewound {
        /// Where the branch points now.
        to: Revision,
    },
    /// The branch's newest commit is not signed by whom the repository wants: the host keeps its revision.
    Untrusted {
        /// Where the branch points now.
        to: Revision,
        /// Why that commit is not trusted, and the mend. At most 4096 bytes are kept.
        why: String,
    },
}

impl BranchState {
    /// The name in the database and in an API answer.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Gone => "gone",
            Self::Rewound { .. } => "rewound",
            Self::Untrusted { .. } => "untrusted",
        }
    }
}

/// What made us look at a branch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "detail")]
pub enum Cause {
    /// A webhook delivery.
    Delivery(DeliveryId),
    /// The timer.
    Poll,
    /// A person, by name. At most 255 bytes are kept.
    Person(String),
    /// The configuration named another branch or repository.
    Configuration,
}

impl Cause {
    /// The name in the database and in an API answer.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Delivery(_) => "delivery",
            Self::Poll => "poll",
            Self::Person(_) => "person",
            Self::Configuration => "configuration",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Delivery(id) => write!(formatter, "delivery {id}"),
            Self::Poll => formatter.write_str("poll"),
            Self::Person(who) => write!(formatter, "person {who}"),
            Self::Configuration => formatter.write_str("configuration"),
        }
    }
}
