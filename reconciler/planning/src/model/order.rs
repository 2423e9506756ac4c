//! What a person has asked of a host.

use deploy::Action;
use desired_state::Revision;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What led to a reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// The loop does it by itself, from time to time.
    #[serde(rename = "none", alias = "scheduled")]
    Scheduled,
    /// A person asked: a backoff and the policy `observe` do not hold it up.
    #[serde(rename = "asked", alias = "manual")]
    Manual,
    /// A person said `--force`: nor do a settled outcome, a suspension, a closed window or a refused forced push.
    #[serde(rename = "forced")]
    Forced,
}

impl Trigger {
    /// Whether a person is behind it.
    pub fn is_manual(self) -> bool {
        self != Self::Scheduled
    }

    /// Whether it lifts everything that can be lifted.
    pub fn is_forced(self) -> bool {
        self == Self::Forced
    }
}

/// What follows once a host is where it was asked to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Nothing.
    #[default]
    Nothing,
    /// It is rebooted, needed or not.
    Reboot,
}

/// One person's order for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its number, unique while the process runs.
    pub id: u64,
    /// A commit instead of the followed or pinned one, for actions that do not become a pin.
    pub revision: Option<Revision>,
    /// An action instead of the configured one.
    pub action: Option<Action>,
    /// What follows once the host is there.
    pub then: Then,
    /// How strongly.
    pub trigger: Trigger,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}
