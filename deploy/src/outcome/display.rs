//! How outcomes read to a person.

use std::fmt;

use super::Outcome;
use crate::bytes::Bytes;

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
            Outcome::Rebooted => write!(f, "rebooted"),
            Outcome::BootedAnother { booted, wanted } => write!(
                f,
                "came back from its reboot on another system: it booted {booted}, and was to boot {wanted}"
            ),
            Outcome::DidNotComeBack { entry, detail } => write!(
                f,
                "did not come back from its reboot, a person is needed; it was to boot {entry}; {detail}"
            ),
            Outcome::DidNotReboot { detail } => {
                write!(f, "was told to reboot and did not: {detail}")
            }
            Outcome::ActivationRefused { detail } => {
                write!(f, "the activation refused{}", below(detail))
            }
            Outcome::WrongPlatform { system, host } => write!(
                f,
                "the system is built for {system}, and the host is {host}: correct nixpkgs.hostPlatform in its configuration, or the host's attribute or destinations"
            ),
            Outcome::NoSpace {
                place,
                needed,
                free,
                reserve,
            } => write!(
                f,
                "{place} on the host has {} free, and the system brings {} while {} have to stay free: {}",
                Bytes(*free),
                Bytes(*needed),
                Bytes(*reserve),
                room_mend(place)
            ),
            Outcome::ActivationFailed { step, code, detail } => match code {
                Some(code) => write!(
                    f,
                    "the activation failed in {step} (exit code {code}){}",
                    below(detail)
                ),
                None => write!(f, "the activation failed in {step}{}", below(detail)),
            },
            Outcome::RolledBack { reason, detail } => {
                write!(f, "rolled back: {reason}{}", below(detail))
            }
            Outcome::RollbackFailed {
                step,
                code,
                reason,
                detail,
            } => {
                let code = code.map_or_else(String::new, |code| format!(" (exit code {code})"));
                write!(
                    f,
                    "the rollback failed in {step}{code}, a person is needed; it became necessary because {reason}{}",
                    below(detail)
                )
            }
            Outcome::ChangedMeanwhile { what } => {
                write!(f, "somebody else changed {what}, and theirs was left alone")
            }
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

/// How a host gets room there.
fn room_mend(place: &str) -> &'static str {
    match place {
        // The boot loader removes the kernels of generations that are gone only when it is installed anew.
        "/boot" => {
            "run there `nix-collect-garbage -d`, then `/run/current-system/bin/switch-to-configuration boot`"
        }
        _ => "run `nix-collect-garbage -d` there",
    }
}

/// Output under a sentence.
fn below(detail: &str) -> String {
    match detail.trim_end() {
        "" => String::new(),
        detail => format!(":\n{detail}"),
    }
}
