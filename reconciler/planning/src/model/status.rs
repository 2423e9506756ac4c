//! What is known of the fleet, as it is shown: `GET /v1/status`. Times are RFC 3339 in UTC.

use deploy::{Action, Outcome, RebootReason, Specialisation, Toplevel};
use desired_state::{BranchName, BranchState, Collection, HostName, RepositoryName, Revision};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::host_state::{Drift, Quarantine};
use crate::model::reboot::{Reboot, RebootBlocked};

/// The fleet: `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Our version.
    pub version: String,
    /// The store of Nix on the machine that we run on.
    #[serde(default)]
    pub store: NixStoreStatus,
    /// A host each, by name.
    pub hosts: Vec<HostStatus>,
}

/// A store of Nix.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NixStoreStatus {
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
    /// The name of the specialisation that this is, if it is one.
    #[serde(default)]
    pub running_specialisation: Option<Specialisation>,
    /// Whether the two differ; absent while one is unknown.
    pub drift: Option<DriftStatus>,
    /// Since when.
    pub drifted_since: Option<Timestamp>,
    /// How often something else than us took it away within the hour before it was last seen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub set_back: usize,
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
    pub reboot_waits: Option<RebootBlocked>,
    /// Its store of Nix, when it was last seen.
    #[serde(default)]
    pub store: NixStoreStatus,
    /// Other names of the config under which the same machine answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_machine_as: Vec<HostName>,
    /// Why a person has suspended it.
    pub suspended: Option<String>,
    /// Who has pinned it to the wanted commit.
    pub pinned_by: Option<String>,
    /// The branch that the pinned commit was the tip of, where one was named.
    #[serde(default)]
    pub pinned_branch: Option<BranchName>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
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
