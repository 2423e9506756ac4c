//! What is done about a host, and why it is left as it is.

mod display;

use deploy::{Outcome, Toplevel};
use desired_state::{HostName, Revision};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::reboot::RebootBlocked;

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// The host runs what is wanted.
    UpToDate,
    /// Bring it there.
    Deploy {
        /// The system to bring.
        toplevel: Toplevel,
    },
    /// Leave it as it is, for a reason that a person can read.
    Wait {
        /// The reason.
        why: Why,
    },
}

/// Why a host is left as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    /// No commit is known for it: its branch was never seen, or is gone.
    NoRevision {
        /// What is missing.
        detail: String,
    },
    /// The wanted commit has not been evaluated: it failed to, and is not tried again yet.
    NotEvaluated,
    /// The state could not be read or written: nothing was done.
    StateUnusable {
        /// Why.
        detail: String,
    },
    /// Something newer is wanted.
    Superseded,
    /// Its state has a part that this version of the program does not understand, and which might forbid a change: a
    /// quarantine, a reboot that is under way, or the machine that it was.
    NotUnderstood {
        /// Which part of the state.
        part: String,
    },
    /// The wanted commit does not carry a signature that the repository wants.
    Untrusted {
        /// The commit.
        revision: Revision,
        /// Why it is not trusted, and the mend.
        detail: String,
    },
    /// A person has suspended it.
    Suspended {
        /// The reason given.
        reason: String,
    },
    /// Its policy is `observe`.
    Observing,
    /// Another machine answers than the one that was first met under this name.
    AnotherMachine {
        /// The machine id that was learned at first contact (`machine-id(5)`).
        expected: String,
        /// The one that answers.
        found: String,
    },
    /// It does not answer.
    Unreachable {
        /// What the last try said.
        detail: String,
    },
    /// Other hosts have rolled the wanted commit back.
    Braked {
        /// Which.
        by: Vec<HostName>,
    },
    /// It is outside of its windows, or frozen.
    WindowClosed {
        /// Which of the two, in words.
        reason: String,
        /// When it may be changed again, if ever.
        opens: Option<Timestamp>,
    },
    /// The last attempt failed, and the next is not due.
    BackingOff {
        /// When it is due.
        until: Timestamp,
        /// How the last attempt ended.
        outcome: Outcome,
    },
    /// The wanted system was tried here and could not stay.
    Quarantined {
        /// How that ended.
        outcome: Outcome,
        /// When.
        since: Timestamp,
    },
    /// The reboot that a person asked for has to wait.
    RebootHeld {
        /// Why.
        hold: RebootBlocked,
    },
    /// The last attempt ended in a way that trying again does not mend.
    Settled {
        /// How it ended.
        outcome: Outcome,
    },
}

impl Decision {
    /// One word for metrics and tables.
    pub fn label(&self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::Deploy { .. } => "deploy",
            Self::Wait { why } => match why {
                Why::NoRevision { .. } => "no_revision",
                Why::NotEvaluated => "not_evaluated",
                Why::StateUnusable { .. } => "state_unusable",
                Why::Superseded => "superseded",
                Why::NotUnderstood { .. } => "not_understood",
                Why::Untrusted { .. } => "untrusted",
                Why::Suspended { .. } => "suspended",
                Why::Observing => "observing",
                Why::AnotherMachine { .. } => "another_machine",
                Why::Unreachable { .. } => "unreachable",
                Why::Braked { .. } => "braked",
                Why::WindowClosed { .. } => "window_closed",
                Why::BackingOff { .. } => "backing_off",
                Why::Quarantined { .. } => "quarantined",
                Why::RebootHeld { .. } => "reboot_held",
                Why::Settled { .. } => "settled",
            },
        }
    }
}
