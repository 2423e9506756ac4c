//! How outcomes and reasons read to a person.

use std::fmt;

use crate::observe::RebootReason;
use crate::outcome::Outcome;

/// One sentence, and below it what was printed, if anything was.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Converged => write!(f, "converged"),
            Outcome::Degraded { units } if units.is_empty() => {
                write!(f, "degraded: it runs the system, and some units failed")
            }
            Outcome::Degraded { units } => {
                write!(
                    f,
                    "degraded: it runs the system, and these units failed: {}",
                    units.join(" ")
                )
            }
            Outcome::Built => write!(f, "built"),
            Outcome::DryActivated => write!(f, "dry-activated"),
            Outcome::RebootRequired { reasons } => {
                write!(
                    f,
                    "reboot required, and nothing was changed: {}",
                    reasons.join("; ")
                )
            }
            Outcome::ActivationRefused { detail } => {
                write!(f, "the activation refused{}", below(detail))
            }
            Outcome::ActivationFailed { step, code, detail } => match code {
                Some(code) => write!(
                    f,
                    "the activation failed in {step} (exit code {code}){}",
                    below(detail)
                ),
                None => write!(f, "the activation failed in {step}{}", below(detail)),
            },
            Outcome::ActivationInterrupted { cause } => {
                write!(f, "the activation was interrupted on the host: {cause}")
            }
            Outcome::Locked { by } => write!(f, "another switch is running there: {by}"),
            Outcome::ObservedChanged { running } => {
                write!(
                    f,
                    "something else than us changed what it runs meanwhile: {running}"
                )
            }
            Outcome::Vanished { detail } => write!(f, "the deployment's traces are gone: {detail}"),
            Outcome::Unreachable { detail } => write!(f, "unreachable: {detail}"),
            Outcome::AccessRefused { detail } => write!(f, "access refused: {detail}"),
            Outcome::EvaluationFailed { detail, .. } => write!(f, "evaluation failed: {detail}"),
            Outcome::BuildFailed { detail, .. } => write!(f, "build failed: {detail}"),
            Outcome::CopyFailed { detail, .. } => write!(f, "copy failed: {detail}"),
            Outcome::TimedOut { phase } => write!(f, "{phase} took longer than it may"),
            Outcome::Superseded => write!(f, "superseded: something newer is wanted"),
            Outcome::Cancelled { by } => write!(f, "cancelled by {by}"),
        }
    }
}

/// Output under a sentence.
fn below(detail: &str) -> String {
    match detail.trim_end() {
        "" => String::new(),
        detail => format!(":\n{detail}"),
    }
}

impl RebootReason {
    /// Every reason.
    pub const ALL: [RebootReason; 4] = [
        RebootReason::Kernel,
        RebootReason::Initrd,
        RebootReason::KernelModules,
        RebootReason::KernelParams,
    ];

    /// The reason as a metric label and in tables, as NixOS names the file that differs.
    pub const fn label(self) -> &'static str {
        match self {
            RebootReason::Kernel => "kernel",
            RebootReason::Initrd => "initrd",
            RebootReason::KernelModules => "kernel-modules",
            RebootReason::KernelParams => "kernel-params",
        }
    }
}
