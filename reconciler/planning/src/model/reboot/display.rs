//! How reboots, and what blocks them, read to a person.

use std::fmt;

use desired_state::HostName;

use crate::model::reboot::{Reboot, RebootBlocked};

impl fmt::Display for Reboot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            None => write!(
                f,
                "rebooting since {:.0}, to be back by {:.0}",
                self.began, self.deadline
            ),
            Some(outcome) => write!(
                f,
                "{outcome}; not rebooted again until another system is wanted or a person says `reconcile reboot`"
            ),
        }
    }
}

impl fmt::Display for RebootBlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended { reason } => write!(f, "not rebooted while suspended: {reason}"),
            Self::Failed { outcome, since } => write!(
                f,
                "not rebooted again: the reboot of {since:.0} ended with: {outcome}"
            ),
            Self::WindowClosed { reason, opens } => match opens {
                Some(opens) => write!(f, "the reboot waits until {opens:.0}: {reason}"),
                None => write!(f, "the reboot waits: {reason}"),
            },
            Self::AnotherReboots { host } => {
                write!(f, "the reboot waits for {host}, which is rebooting")
            }
            Self::OthersFailed { hosts } => {
                let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
                write!(
                    f,
                    "the reboot waits because that of {} into this commit failed; made when another commit is wanted or a person asks with `reconcile reboot`",
                    hosts.join(" and ")
                )
            }
            Self::Locked { by } => {
                write!(
                    f,
                    "the reboot waits for a switch that is running there: {by}"
                )
            }
            Self::AnotherBootDefault { entry } => {
                write!(f, "not rebooted: it would boot {entry}")
            }
        }
    }
}
