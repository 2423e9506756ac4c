//! What an activation's report stands for.

use super::{Outcome, Transience};
use crate::host::activate::{ActivationReport, ActivationVerdict};

/// What `switch-to-configuration` says last where a check of the new system (`system.preSwitchChecks`) refused, before
/// anything is changed (nixpkgs, switch-to-configuration-ng, `do_pre_switch_check`).
const CHECKS_FAILED: &str = "Pre-switch checks failed";

impl Outcome {
    /// A system that has nothing in it that could be switched to: the same system never will.
    pub fn unswitchable(why: &str) -> Self {
        Outcome::ActivationRefused {
            detail: format!("this system cannot be switched to: {why}"),
            transience: Transience::Permanent,
        }
    }

    /// The outcome that an activation's report stands for, before the host has been read back.
    pub fn of_activation(report: &ActivationReport) -> Option<Self> {
        let detail = || report.output_tail.clone();
        let outcome = match &report.verdict {
            ActivationVerdict::Done => Outcome::Converged,
            ActivationVerdict::Degraded => Outcome::Degraded {
                units: report.failed_units.clone(),
            },
            ActivationVerdict::Refused { reason } => refusal(reason, &report.output_tail),
            ActivationVerdict::Unswitchable { why } => Outcome::unswitchable(why),
            ActivationVerdict::WrongPlatform { system, host } => Outcome::WrongPlatform {
                system: system.clone(),
                host: host.clone(),
            },
            ActivationVerdict::NoSpace {
                place,
                needed,
                free,
                reserve,
            } => Outcome::NoSpace {
                place: place.clone(),
                needed: *needed,
                free: *free,
                reserve: *reserve,
            },
            ActivationVerdict::Failed { step, code } => Outcome::ActivationFailed {
                step: step.clone(),
                code: *code,
                detail: detail(),
            },
            ActivationVerdict::Interrupted { cause } => Outcome::ActivationInterrupted {
                cause: cause.clone(),
            },
            ActivationVerdict::RebootRequired { why } => Outcome::RebootRequired {
                reasons: vec![why.clone()],
            },
            ActivationVerdict::RolledBack { reason } => Outcome::RolledBack {
                reason: reason.clone(),
                detail: detail(),
            },
            ActivationVerdict::RollbackFailed { step, code, reason } => Outcome::RollbackFailed {
                step: step.clone(),
                code: *code,
                reason: reason.clone(),
                detail: detail(),
            },
            ActivationVerdict::ChangedMeanwhile { what } => {
                Outcome::ChangedMeanwhile { what: what.clone() }
            }
            ActivationVerdict::Locked { by } => Outcome::Locked { by: by.clone() },
            ActivationVerdict::ObservedChanged { running } => Outcome::ObservedChanged {
                running: running.clone(),
            },
            ActivationVerdict::Vanished => Outcome::Vanished {
                detail: "the host has no trace of this deployment".to_owned(),
            },
            ActivationVerdict::StillRunning | ActivationVerdict::Awaiting => return None,
        };
        Some(outcome)
    }
}

/// Why the supervisor refused, if it was it, and what was printed.
fn refusal(reason: &str, output: &str) -> Outcome {
    Outcome::ActivationRefused {
        detail: match reason {
            "" => output.to_owned(),
            reason => format!("{reason}\n{output}"),
        },
        transience: Transience::when_retrying_is(!output.contains(CHECKS_FAILED)),
    }
}
