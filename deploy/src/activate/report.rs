//! What the host reports of an activation.

use serde::{Deserialize, Serialize};

use crate::command::printable;
use crate::observe::MAX_FAILED_UNITS;
use crate::ssh::shown;

/// One step that the host took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `check`, `sync`, `test`, `set-profile`, `boot` …
    pub name: String,
    /// Its exit code; `None` while it runs or when it was killed with the whole unit.
    pub code: Option<i32>,
    /// When it began, in seconds since 1970 by the host's clock.
    pub began_at: i64,
    /// When it ended, by the same clock.
    pub ended_at: Option<i64>,
}

/// What is known of an activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationReport {
    /// How it ended, if it has.
    pub verdict: ActivationVerdict,
    /// The steps in the order in which the host took them.
    pub steps: Vec<Step>,
    /// The exit code of `switch-to-configuration`, if it was run and ended; of its two runs in a
    /// switch, the one that is not 0.
    pub exit_code: Option<i32>,
    /// The units that were failed afterwards.
    pub failed_units: Vec<String>,
    /// The last part of what the steps printed, control characters escaped.
    pub output_tail: String,
    /// The host's boot id when the report was made.
    pub boot_id: String,
}

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
    fn read(line: &str) -> Option<Self> {
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

/// The steps of a deployment are about ten; more lines are not ours.
const MAX_STEPS: usize = 50;

impl ActivationReport {
    /// Reads what the supervisor's `wait` prints; `None` if it is not whole.
    pub(super) fn read(answer: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(answer);
        let mut report = ActivationReport {
            verdict: ActivationVerdict::StillRunning,
            steps: Vec::new(),
            exit_code: None,
            failed_units: Vec::new(),
            output_tail: String::new(),
            boot_id: String::new(),
        };
        let mut verdict = None;
        let mut rest = text.as_ref();
        loop {
            let (line, after) = rest.split_once('\n')?;
            rest = after;
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match name {
                "boot-id" => report.boot_id = shown(value),
                "step" => report.take_step(value),
                "failed-unit" if report.failed_units.len() < MAX_FAILED_UNITS => {
                    report.failed_units.push(shown(value));
                }
                "verdict" => verdict = ActivationVerdict::read(value),
                "output" => break,
                // A login shell may greet.
                _ => {}
            }
        }
        report.output_tail = printable(rest.as_bytes());
        report.exit_code = report.worst_exit_code();
        report.verdict = verdict?;
        Some(report)
    }

    /// Of the runs of `switch-to-configuration`, the first code that is not 0, else the last.
    fn worst_exit_code(&self) -> Option<i32> {
        let mut codes = self
            .steps
            .iter()
            .filter(|step| ["test", "boot", "dry-activate"].contains(&step.name.as_str()))
            .filter_map(|step| step.code);
        codes
            .clone()
            .find(|code| *code != 0)
            .or_else(|| codes.next_back())
    }

    /// `TIME begin STEP` or `TIME end STEP CODE`; other lines are for people.
    fn take_step(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [time, "begin", name] if self.steps.len() < MAX_STEPS => {
                if let Ok(began_at) = time.parse() {
                    self.steps.push(Step {
                        name: shown(name),
                        code: None,
                        began_at,
                        ended_at: None,
                    });
                }
            }
            [time, "end", name, code] => {
                if let Some(step) = self.steps.last_mut().filter(|step| step.name == *name) {
                    step.code = code.parse().ok();
                    step.ended_at = time.parse().ok();
                }
            }
            _ => {}
        }
    }
}

impl ActivationVerdict {
    /// Reads a verdict as the supervisor writes it.
    fn read(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "done" => ActivationVerdict::Done,
            "degraded" => ActivationVerdict::Degraded,
            "refused" => ActivationVerdict::Refused {
                reason: shown(rest),
            },
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

#[cfg(test)]
mod tests;
