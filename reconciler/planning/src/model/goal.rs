//! What is wanted of a host.

use deploy::Action;
use desired_state::Revision;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::cause::Cause;

/// A commit, and how it is to be brought to a host. Another one starts with a clean slate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The commit that is wanted.
    pub revision: Revision,
    /// How it is to be brought to the host.
    pub action: Action,
}

/// A target that somebody or something wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// The commit, and how it is to be brought there.
    pub target: Target,
    /// Since when it is wanted.
    pub since: Timestamp,
    /// What led to it, for the history.
    pub cause: Cause,
    /// How long it lasts.
    pub kind: GoalKind,
}

/// How long a goal lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoalKind {
    /// The loop keeps the host there.
    Persistent,
    /// A person asked for it once.
    OneOff,
    /// It stands in for what is wanted, which is in quarantine on this host or cannot be activated
    /// before a reboot.
    Fallback {
        /// What is wanted.
        from: Target,
    },
}

impl GoalKind {
    /// Whether the loop keeps the host there.
    pub fn is_persistent(&self) -> bool {
        *self == Self::Persistent
    }
}

impl Goal {
    /// What has to be wanted for this to be worth doing.
    pub fn asked_for(&self) -> &Target {
        match &self.kind {
            GoalKind::Persistent | GoalKind::OneOff => &self.target,
            GoalKind::Fallback { from } => from,
        }
    }
}
