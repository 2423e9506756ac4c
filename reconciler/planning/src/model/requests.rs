//! What can be asked for, over the control socket and without a daemon.

use deploy::Action;
use desired_state::{BranchName, HistoryEntry, HostName};
use serde::{Deserialize, Serialize};

use crate::model::order::{Then, Trigger};

/// What a person wants of some hosts: `POST /v1/reconcile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconcileRequest {
    /// Which hosts.
    pub hosts: HostSelection,
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
    #[serde(rename = "insistence", alias = "trigger")]
    pub trigger: Trigger,
    /// Whether the answer ends with the deployments, or at once.
    #[serde(rename = "follow", alias = "wait")]
    pub wait: Wait,
    /// Who asks: a user name, for the history.
    pub by: String,
}

/// Some hosts, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostSelection {
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

/// Whether an answer waits for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Every event until each host is done.
    ToTheEnd,
    /// Only what was queued.
    No,
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

/// A person's override of what is wanted of some hosts: `POST /v1/suspend`, `/v1/resume`, `/v1/unpin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    /// Which hosts.
    pub hosts: HostSelection,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// Who.
    pub by: String,
}

/// What an override does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    /// Nothing is deployed to the hosts until they are resumed.
    Suspend,
    /// Ends a suspension.
    Resume,
    /// Ends a pin: the hosts follow their branches again.
    Unpin,
}

impl Override {
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

/// What a [`OverrideRequest`] changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overridden {
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
