//! How an activation ended.

use serde::{Deserialize, Serialize};

use super::rollback_reason::RollbackReason;
use crate::printable::shown;

/// How an activation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum ActivationVerdict {
    /// All steps succeeded.
    Done,
    /// All steps succeeded, and some units are failed (exit code 4).
    Degraded,
    /// Nothing was changed: the system is not whole on the host, or `switch-to-configuration`
    /// refused (exit code 1).
    Refused {
        /// Why, where the supervisor itself refused; else empty, and the output tells.
        reason: String,
    },
    /// Nothing was changed: there is nothing in the system that could be switched to.
    Unswitchable {
        /// Why.
        why: String,
    },
    /// A step failed after something may have been changed.
    Failed {
        /// Which step.
        step: String,
        /// Its exit code; above 128, killed by the signal of that number less 128.
        code: Option<i32>,
    },
    /// The unit was killed, or its time ran out.
    Interrupted {
        /// systemd's `SERVICE_RESULT` (`systemd.exec(5)`).
        cause: String,
    },
    /// The new system could not stay, and the host is back on the old one.
    RolledBack {
        /// Why it could not stay.
        reason: RollbackReason,
    },
    /// The new system could not stay, and going back failed too.
    RollbackFailed {
        /// The step of going back that failed.
        step: String,
        /// Its exit code.
        code: Option<i32>,
        /// Why the system could not stay.
        reason: RollbackReason,
    },
    /// Somebody else changed the host meanwhile, and theirs was left alone.
    ChangedMeanwhile {
        /// What they changed, and to what.
        what: String,
    },
    /// The host waits for an acknowledgement over a new login.
    Awaiting,
    /// Only a reboot leads to this system; nothing was changed.
    RebootRequired {
        /// `init-interface` (exit code 100) or `switch-inhibitor`.
        why: String,
    },
    /// Nothing was changed: the system was built for another platform than the host's.
    WrongPlatform {
        /// The system's, as Nix names it.
        system: String,
        /// The host's.
        host: String,
    },
    /// Nothing was changed: what the system needs there does not fit.
    NoSpace {
        /// The file system: `/boot`.
        place: String,
        /// What would be brought there, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
        /// What has to stay free, in bytes.
        reserve: u64,
    },
    /// Another switch is running.
    Locked {
        /// Process id, command and unit of the holder.
        by: String,
    },
    /// The host runs something else than what the decision was made on.
    ObservedChanged {
        /// What it runs.
        running: String,
    },
    /// The host knows nothing of this deployment: it has rebooted, or the start never arrived.
    Vanished,
    /// It has not ended yet.
    StillRunning,
}

impl ActivationVerdict {
    /// Reads a verdict as the supervisor writes it.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "done" => ActivationVerdict::Done,
            "degraded" => ActivationVerdict::Degraded,
            "refused" => ActivationVerdict::Refused {
                reason: shown(rest),
            },
            "unswitchable" => ActivationVerdict::Unswitchable { why: shown(rest) },
            "failed" => {
                let (step, code) = rest.split_once(' ')?;
                ActivationVerdict::Failed {
                    step: shown(step),
                    code: code.parse().ok(),
                }
            }
            "interrupted" => ActivationVerdict::Interrupted { cause: shown(rest) },
            "reboot-required" => ActivationVerdict::RebootRequired { why: shown(rest) },
            "rolled-back" => ActivationVerdict::RolledBack {
                reason: RollbackReason::read(rest)?,
            },
            "rollback-failed" => {
                let mut words = rest.splitn(3, ' ');
                ActivationVerdict::RollbackFailed {
                    step: shown(words.next()?),
                    code: words.next()?.parse().ok(),
                    reason: RollbackReason::read(words.next()?)?,
                }
            }
            "changed-meanwhile" => ActivationVerdict::ChangedMeanwhile { what: shown(rest) },
            "awaiting" => ActivationVerdict::Awaiting,
            "wrong-platform" => {
                let (system, host) = rest.split_once(' ')?;
                ActivationVerdict::WrongPlatform {
                    system: shown(system),
                    host: shown(host),
                }
            }
            "no-space" => {
                let mut words = rest.split(' ');
                ActivationVerdict::NoSpace {
                    place: shown(words.next()?),
                    needed: words.next()?.parse().ok()?,
                    free: words.next()?.parse().ok()?,
                    reserve: words.next()?.parse().ok()?,
                }
            }
            "locked" => ActivationVerdict::Locked { by: shown(rest) },
            "observed-changed" => ActivationVerdict::ObservedChanged {
                running: shown(rest),
            },
            "vanished" => ActivationVerdict::Vanished,
            "running" => ActivationVerdict::StillRunning,
            _ => return None,
        })
    }
}
