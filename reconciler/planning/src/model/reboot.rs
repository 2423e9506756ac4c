//! A reboot of a host, and why one has to wait.

mod display;

use deploy::{BootEntry, Observation, Outcome, Toplevel};
use desired_state::HostName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::cause::Cause;
use crate::model::goal::Target;

/// A reboot that is under way, or that failed: then the host is not rebooted again by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reboot {
    /// What is wanted of the host.
    pub target: Target,
    /// Since when.
    pub wanted_since: Timestamp,
    /// The system that it is to boot.
    pub toplevel: Toplevel,
    /// The boot that it was on: on another, it has rebooted.
    pub boot_id: String,
    /// What it was to boot.
    pub entry: BootEntry,
    /// The units that were failed before.
    pub failed_before: Vec<String>,
    /// When it was written down, just before the host was told.
    pub began: Timestamp,
    /// When it has to be back.
    pub deadline: Timestamp,
    /// What led to it.
    pub cause: Cause,
    /// How it failed; absent while it is under way.
    pub failure: Option<Outcome>,
}

impl Reboot {
    /// Whether the host is expected back.
    pub fn is_under_way(&self) -> bool {
        self.failure.is_none()
    }

    /// Whether it took the host away from what is wanted: the next one may fare no better.
    pub fn has_cost_the_host(&self) -> bool {
        matches!(
            self.failure,
            Some(Outcome::DidNotComeBack { .. } | Outcome::BootedAnother { .. })
        )
    }

    /// Whether the host has booted what it was to boot after all.
    pub fn has_been_made_good(&self, observation: &Observation) -> bool {
        !self.is_under_way()
            && observation.boot_id != self.boot_id
            && observation.has_booted(&self.toplevel)
    }
}

/// Why a host that needs a reboot, or is asked for one, is not rebooted now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "held", rename_all = "snake_case")]
pub enum RebootBlocked {
    /// A person has suspended the host.
    Suspended {
        /// The reason given.
        reason: String,
    },
    /// The last reboot into this system failed.
    Failed {
        /// How.
        outcome: Outcome,
        /// When it began.
        since: Timestamp,
    },
    /// It is not the time for it.
    WindowClosed {
        /// Why not.
        reason: String,
        /// When it is; absent if that is weeks away.
        opens: Option<Timestamp>,
    },
    /// Another host is rebooting.
    AnotherReboots {
        /// Which.
        host: HostName,
    },
    /// Other hosts did not come back from their reboots into the same commit, or elsewhere.
    OthersFailed {
        /// Which.
        hosts: Vec<HostName>,
    },
    /// A switch is running there.
    Locked {
        /// Its holder.
        by: String,
    },
    /// It would boot another system than the wanted one.
    AnotherBootDefault {
        /// What it would boot.
        entry: BootEntry,
    },
}
