//! What happens to hosts, as it is told to those who follow: one line of the answer to `POST /v1/reconcile` each.

use deploy::{Action, Outcome, Toplevel};
use desired_state::{BranchState, HostName, Revision};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::decision::Decision;

/// Something that happened on the way: one line of the answer to `POST /v1/reconcile`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To which host.
    pub host: HostName,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened to a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// A person's order waits for its turn.
    Queued {
        /// The commit that it has pinned the host to, if it has: that holds whatever comes of the order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pinned: Option<Revision>,
    },
    /// A step has begun.
    Step {
        /// Which.
        step: Step,
        /// Of which commit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<Revision>,
    },
    /// A reconciliation has ended.
    Done(Box<Report>),
}

/// A step of a reconciliation that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Asking the host what it runs.
    Observing,
    /// Evaluating the flake.
    Evaluating,
    /// Building the system.
    Building,
    /// Copying it to the host.
    Copying,
    /// Activating it there.
    Activating,
    /// Watching an activation that an earlier run of ours began.
    Reattaching,
    /// Waiting for it to come back from a reboot.
    Rebooting,
    /// Having it collect its garbage.
    Collecting,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Observing => "observing",
            Self::Evaluating => "evaluating",
            Self::Building => "building",
            Self::Copying => "copying",
            Self::Activating => "activating",
            Self::Reattaching => "watching an activation that is under way",
            Self::Rebooting => "rebooting into",
            Self::Collecting => "collecting garbage",
        })
    }
}

/// How a reconciliation of a host ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The order it carried out, if a person gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// The commit that was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// What became of the branch, where that is what the host follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_state: Option<BranchState>,
    /// What was decided.
    pub decision: Decision,
    /// How the deployment ended, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Units that are failed on a host that is up to date, and matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_units: Vec<String>,
    /// The last lines that the activation printed, for `dry-activate` and failures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// What `plan` found out for one host: `POST /v1/plan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The host.
    pub host: HostName,
    /// The commit that is wanted.
    pub revision: Option<Revision>,
    /// How it would be brought there.
    pub action: Action,
    /// What the host runs.
    pub running: Option<Toplevel>,
    /// What it should run.
    pub wanted: Option<Toplevel>,
    /// What the loop would do now.
    pub decision: Decision,
    /// Why it cannot be evaluated, if so.
    pub failure: Option<Outcome>,
    /// What became of the branch, where that is what the host follows.
    #[serde(default)]
    pub branch_state: Option<BranchState>,
    /// Why the repository could not be fetched: the plan is made with the commit that was known.
    #[serde(default)]
    pub not_fetched: Option<String>,
}
