//! How outcomes read to a person.

use std::fmt;

use super::Outcome;
use crate::bytes::Bytes;
use crate::host::activate::RollbackReason;
use crate::host::reboot::BootEntry;

/// One sentence, and below it what was printed, if anything was.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Converged => write!(f, "converged"),
            Self::Degraded { units } => degraded(f, units),
            Self::Built => write!(f, "built"),
            Self::DryActivated => write!(f, "dry-activated"),
            Self::RebootRequired { reasons } => reboot_required(f, reasons),
            Self::Rebooted => write!(f, "rebooted"),
            Self::BootedAnother { booted, wanted } => booted_another(f, booted, wanted),
            Self::DidNotComeBack { entry, detail } => did_not_come_back(f, entry, detail),
            Self::DidNotReboot { detail } => write!(f, "was told to reboot and did not: {detail}"),
            Self::ActivationRefused { detail, .. } => {
                write!(f, "the activation refused{}", below(detail))
            }
            Self::WrongPlatform { system, host } => wrong_platform(f, system, host),
            Self::NoSpace {
                place,
                needed,
                free,
                reserve,
            } => no_space(f, place, [*free, *needed, *reserve].map(Bytes)),
            Self::ActivationFailed { step, code, detail } => {
                let (code, output) = (exit(*code), below(detail));
                write!(f, "the activation failed in {step}{code}{output}")
            }
            Self::RolledBack { reason, detail } => {
                write!(f, "rolled back: {reason}{}", below(detail))
            }
            Self::RollbackFailed {
                step,
                code,
                reason,
                detail,
            } => rollback_failed(f, step, *code, reason).and_then(|()| f.write_str(&below(detail))),
            Self::ChangedMeanwhile { what } => {
                write!(f, "somebody else changed {what}, and theirs was left alone")
            }
            Self::ActivationInterrupted { cause } => {
                write!(f, "the activation was interrupted on the host: {cause}")
            }
            Self::Locked { by } => write!(f, "another switch is running there: {by}"),
            Self::ObservedChanged { running } => observed_changed(f, running),
            Self::Vanished { detail } => write!(f, "the deployment's traces are gone: {detail}"),
            Self::Unreachable { detail } => write!(f, "unreachable: {detail}"),
            Self::AccessRefused { detail } => write!(f, "access refused: {detail}"),
            Self::EvaluationFailed { detail, .. } => write!(f, "evaluation failed: {detail}"),
            Self::BuildFailed { detail, .. } => write!(f, "build failed: {detail}"),
            Self::CopyFailed { detail, .. } => write!(f, "copy failed: {detail}"),
            Self::TimedOut { phase } => write!(f, "{phase} took longer than it may"),
            Self::Superseded => write!(f, "superseded: something newer is wanted"),
            Self::Cancelled { by } => write!(f, "cancelled by {by}"),
        }
    }
}

fn degraded(f: &mut fmt::Formatter<'_>, units: &[String]) -> fmt::Result {
    write!(f, "degraded: it runs the system, and ")?;
    match units {
        [] => write!(f, "some units failed"),
        units => write!(f, "these units failed: {}", units.join(" ")),
    }
}

fn reboot_required(f: &mut fmt::Formatter<'_>, reasons: &[String]) -> fmt::Result {
    write!(
        f,
        "reboot required, and nothing was changed: {}",
        reasons.join("; ")
    )
}

fn booted_another(f: &mut fmt::Formatter<'_>, booted: &str, wanted: &str) -> fmt::Result {
    write!(
        f,
        "came back from its reboot on another system: it booted {booted}, and was to boot {wanted}"
    )
}

fn did_not_come_back(f: &mut fmt::Formatter<'_>, entry: &BootEntry, detail: &str) -> fmt::Result {
    write!(
        f,
        "did not come back from its reboot, a person is needed; it was to boot {entry}; {detail}"
    )
}

fn wrong_platform(f: &mut fmt::Formatter<'_>, system: &str, host: &str) -> fmt::Result {
    write!(
        f,
        "the system is built for {system}, and the host is {host}: correct nixpkgs.hostPlatform in its configuration, or the host's attribute or destinations"
    )
}

fn no_space(
    f: &mut fmt::Formatter<'_>,
    place: &str,
    [free, needed, reserve]: [Bytes; 3],
) -> fmt::Result {
    write!(
        f,
        "{place} on the host has {free} free, and the system brings {needed} while {reserve} have to stay free: {}",
        room_mend(place)
    )
}

fn rollback_failed(
    f: &mut fmt::Formatter<'_>,
    step: &str,
    code: Option<i32>,
    reason: &RollbackReason,
) -> fmt::Result {
    write!(
        f,
        "the rollback failed in {step}{}, a person is needed; it became necessary because {reason}",
        exit(code)
    )
}

fn observed_changed(f: &mut fmt::Formatter<'_>, running: &str) -> fmt::Result {
    write!(
        f,
        "something else than us changed what it runs meanwhile: {running}"
    )
}

/// The exit code of a step, if it has one.
fn exit(code: Option<i32>) -> String {
    code.map_or_else(String::new, |code| format!(" (exit code {code})"))
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
