//! Why a new system could not stay.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::host::observation::MAX_FAILED_UNITS;
use crate::printable::shown;

/// Why a new system could not stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum RollbackReason {
    /// A step failed: the activation, or making the system the boot default.
    Failed {
        /// Which step.
        step: String,
        /// Its exit code; above 128, killed by the signal of that number less 128.
        code: Option<i32>,
    },
    /// A step did not end in its time.
    TimedOut {
        /// Which step.
        step: String,
    },
    /// Units failed that had not been failed before.
    Degraded {
        /// Which.
        units: Vec<String>,
    },
    /// A probe failed.
    Probe {
        /// Which.
        name: String,
    },
    /// A new login was tried in time, and none worked.
    NotAcknowledged,
    /// Nobody tried to log in: we were down, or cut off ourselves. It says nothing about the system.
    Unattended,
    /// The supervisor was killed before it had decided.
    Interrupted {
        /// systemd's `SERVICE_RESULT` (`systemd.exec(5)`).
        cause: String,
    },
}

impl RollbackReason {
    /// As the supervisor writes it.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "failed" => {
                let (step, code) = rest.split_once(' ')?;
                RollbackReason::Failed {
                    step: shown(step),
                    code: code.parse().ok(),
                }
            }
            "timed-out" => RollbackReason::TimedOut { step: shown(rest) },
            "degraded" => RollbackReason::Degraded {
                units: rest.split(' ').take(MAX_FAILED_UNITS).map(shown).collect(),
            },
            "probe" => RollbackReason::Probe { name: shown(rest) },
            "not-acknowledged" => RollbackReason::NotAcknowledged,
            "interrupted" => RollbackReason::Interrupted { cause: shown(rest) },
            _ => return None,
        })
    }

    /// Whether it is the system that could not stay, and not we who were away.
    pub const fn is_the_systems(&self) -> bool {
        !matches!(self, RollbackReason::Unattended)
    }

    /// The value of the label `reason` in metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            RollbackReason::Failed { .. } => "failed",
            RollbackReason::TimedOut { .. } => "timed_out",
            RollbackReason::Degraded { .. } => "degraded",
            RollbackReason::Probe { .. } => "probe",
            RollbackReason::NotAcknowledged => "not_acknowledged",
            RollbackReason::Unattended => "unattended",
            RollbackReason::Interrupted { .. } => "interrupted",
        }
    }
}

/// Why a system could not stay, as half a sentence.
impl fmt::Display for RollbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RollbackReason::Failed {
                step,
                code: Some(code),
            } => {
                write!(f, "{step} failed (exit code {code})")
            }
            RollbackReason::Failed { step, code: None } => write!(f, "{step} failed"),
            RollbackReason::TimedOut { step } => write!(f, "{step} took longer than it may"),
            RollbackReason::Degraded { units } => write!(f, "units failed: {}", units.join(" ")),
            RollbackReason::Probe { name } => write!(f, "the probe `{name}` failed"),
            RollbackReason::NotAcknowledged => write!(f, "no new login worked in time"),
            RollbackReason::Unattended => {
                write!(
                    f,
                    "nobody was there to say that a login works; it says nothing about the system"
                )
            }
            RollbackReason::Interrupted { cause } => {
                write!(f, "the supervisor was killed on the host ({cause})")
            }
        }
    }
}
