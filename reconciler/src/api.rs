//! The words of the control socket: HTTP and JSON under `/v1`.
//!
//! The command line speaks them with a running daemon, and the loop itself speaks them when no
//! daemon runs. Times are RFC 3339 in UTC.

use deploy::{Action, Outcome, RebootReason, Toplevel};
use desired_state::{
    BranchName, BranchState, Collection, HistoryEntry, HostName, RepositoryName, Revision,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decide::{Decision, Insistence};
use crate::memory::{Drift, Quarantine};
use crate::reboot::{Reboot, RebootHold};

/// What a person wants of some hosts: `POST /v1/reconcile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconcileRequest {
    /// Which hosts.
    pub hosts: Hosts,
    /// Instead of the tip of the branch that each host follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
    /// Instead of the configured action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// What follows once they are there.
    #[serde(default)]
    pub then: Then,
    /// How strongly.
    pub insistence: Insistence,
    /// Whether the answer ends with the deployments, or at once.
    pub follow: Follow,
    /// Who asks: a user name, for the history.
    pub by: String,
}

/// Some hosts, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hosts {
    /// Every configured host.
    All,
    /// These.
    Named(Vec<HostName>),
}

/// What to deploy instead of the tip of the branch that a host follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instead {
    /// The tip of another branch.
    Branch(BranchName),
    /// A commit: its full id, or a unique beginning of at least 7 digits.
    Revision(String),
    /// The last commit that proved itself on the host and is not the wanted one.
    Proven,
    /// The commit that this generation of the host's system profile came from.
    Generation(u32),
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

/// Whether an answer waits for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follow {
    /// Every event until each host is done.
    ToTheEnd,
    /// Only what was queued.
    No,
}

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
    /// A pass has ended.
    Done(Box<Report>),
}

/// A step of a pass that takes time.
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

/// How a pass over a host ended.
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

/// The fleet: `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Our version.
    pub version: String,
    /// The store of Nix on the machine that we run on.
    #[serde(default)]
    pub store: StoreStatus,
    /// A host each, by name.
    pub hosts: Vec<HostStatus>,
}

/// A store of Nix.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// How much is free there, in bytes, as far as that is known.
    pub free_bytes: Option<u64>,
    /// The last garbage collection of ours.
    pub last_collection: Option<Collection>,
}

/// One host of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Its name.
    pub host: HostName,
    /// The repository it follows.
    pub repository: RepositoryName,
    /// The branch it follows.
    pub branch: BranchName,
    /// Whether that branch is there, gone, or was rewound against the rule.
    pub branch_state: Option<BranchState>,
    /// `enforce` or `observe`.
    pub policy: String,
    /// What a deployment does.
    pub action: Action,
    /// The commit that is wanted.
    pub desired_revision: Option<Revision>,
    /// The system of that commit, once evaluated.
    pub desired_toplevel: Option<Toplevel>,
    /// What it ran when last seen.
    pub running_toplevel: Option<Toplevel>,
    /// Whether the two differ; absent while one is unknown.
    pub drift: Option<DriftStatus>,
    /// Since when.
    pub drifted_since: Option<Timestamp>,
    /// The system that was tried here and could not stay, and how that ended.
    #[serde(default)]
    pub quarantine: Option<Quarantine>,
    /// Why it waits although something else is wanted, where no other field says so.
    #[serde(default)]
    pub waits: Option<String>,
    /// When that ends by itself, where it does: when its window opens.
    #[serde(default)]
    pub waits_until: Option<Timestamp>,
    /// How the last attempt for the wanted commit ended.
    pub outcome: Option<Outcome>,
    /// When it ended.
    pub outcome_at: Option<Timestamp>,
    /// Attempts that failed in a row.
    pub consecutive_failures: u32,
    /// Not before this time again by itself.
    pub next_attempt: Option<Timestamp>,
    /// When it last answered.
    pub last_seen: Option<Timestamp>,
    /// Why it does not answer, if so.
    pub unreachable: Option<String>,
    /// Since when it has not answered for longer than it may be away.
    #[serde(default)]
    pub overdue_since: Option<Timestamp>,
    /// When it was last found on what is wanted.
    pub last_converged: Option<Timestamp>,
    /// Units that are failed there.
    pub failed_units: Vec<String>,
    /// Why it needs a reboot.
    pub reboot_required: Vec<RebootReason>,
    /// The reboot that is under way there, or that failed.
    #[serde(default)]
    pub reboot: Option<Reboot>,
    /// Why a reboot that is due is not made yet.
    #[serde(default)]
    pub reboot_waits: Option<RebootHold>,
    /// Its store of Nix, when it was last seen.
    #[serde(default)]
    pub store: StoreStatus,
    /// Why a person has suspended it.
    pub suspended: Option<String>,
    /// Who has pinned it to the wanted commit.
    pub pinned_by: Option<String>,
    /// The branch that the pinned commit was the tip of, where one was named.
    #[serde(default)]
    pub pinned_branch: Option<BranchName>,
}

/// Whether a host runs what is wanted, as JSON says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftStatus {
    /// It does.
    InSync,
    /// It runs something else.
    Drifted,
}

impl From<Drift> for DriftStatus {
    fn from(drift: Drift) -> Self {
        match drift {
            Drift::InSync => Self::InSync,
            Drift::Drifted => Self::Drifted,
        }
    }
}

/// Which part of the past: `GET /v1/history?host=…&kind=…&limit=…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// Only of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Only of this kind: `deployment`, `wish`, `drift`, `pin`, `suspend`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// At most this many, the newest first.
    #[serde(default = "default_limit")]
    pub limit: u32,
}

/// What fits a screen or two.
fn default_limit() -> u32 {
    50
}

/// The past, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What happened.
    pub entries: Vec<HistoryEntry>,
}

/// A person's word about some hosts: `POST /v1/suspend`, `/v1/resume`, `/v1/unpin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// Which hosts.
    pub hosts: Hosts,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// Who.
    pub by: String,
}

/// What a person's word does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nothing is deployed to the hosts until they are resumed.
    Suspend,
    /// Ends a suspension.
    Resume,
    /// Ends a pin: the hosts follow their branches again.
    Unpin,
}

impl Hold {
    /// The last part of its path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Unpin => "unpin",
        }
    }

    /// Whether others will want to know why.
    pub fn needs_a_reason(self) -> bool {
        match self {
            Self::Suspend | Self::Resume => true,
            Self::Unpin => false,
        }
    }
}

/// What a [`HoldRequest`] changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The hosts for which something changed.
    pub changed: Vec<HostName>,
    /// The hosts that were so already.
    pub unchanged: Vec<HostName>,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What, why, and the mend.
    pub error: String,
}
