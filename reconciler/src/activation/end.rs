//! How an activation ended, by what its host says: pure.

use deploy::{Action, ActivationReport, Observation, Outcome, RollbackReason, Toplevel};
use desired_state::Deployment;

/// The outcome is what the host says it runs, not what a command returned.
pub(super) fn outcome(
    deployment: &Deployment,
    report: &ActivationReport,
    read_back: &Observation,
) -> Option<Outcome> {
    let action: Action = deployment.action.parse().ok()?;
    let reported = Outcome::of_activation(report)?;
    let toplevel: Option<Toplevel> = deployment.toplevel.parse().ok();
    let went_down = matches!(reported, Outcome::Vanished { .. })
        && read_back.boot_id != deployment.boot_id
        && action.changes_host();
    if !reported.is_in_sync() && !went_down {
        return Some(reported);
    }
    if action == Action::DryActivate {
        return Some(Outcome::DryActivated);
    }
    let runs = read_back.running == toplevel;
    let boots = read_back.profile == toplevel;
    let there = match action {
        Action::Switch => runs && boots,
        Action::Test => runs,
        // It booted another: its profile was set, and perhaps not the entry that boots it.
        Action::Boot => boots && (runs || !went_down),
        Action::Build | Action::DryActivate => true,
    };
    Some(if there && went_down {
        // Nothing becomes the boot default that has not proven itself.
        Outcome::Converged
    } else if there {
        reported
    } else if went_down {
        // Perhaps by this very system: it gets a backoff that grows.
        Outcome::ActivationInterrupted {
            cause: "the host went down".into(),
        }
    } else {
        Outcome::ObservedChanged {
            running: read_back
                .running
                .as_ref()
                .map_or_else(|| "nothing".into(), ToString::to_string),
        }
    })
}

/// A host that went back because nobody said that a login works says nothing about its system, unless
/// we were there.
pub(super) fn unattended_unless(attended: bool, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::RolledBack {
            reason: RollbackReason::NotAcknowledged,
            detail,
        } if !attended => Outcome::RolledBack {
            reason: RollbackReason::Unattended,
            detail,
        },
        outcome => outcome,
    }
}

/// Whether the activation broke off on the way, so that the host is not *there* even where
/// `/run/current-system` says so.
pub fn broke_off(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::ActivationFailed { .. }
            | Outcome::ActivationRefused { .. }
            | Outcome::ActivationInterrupted { .. }
            | Outcome::RollbackFailed { .. }
    )
}

#[cfg(test)]
mod tests {
    use deploy::ActivationVerdict;
    use jiff::Timestamp;

    use super::*;
    use crate::testing::{observation, toplevel};

    /// How a deployment of `new` ended on a host that runs and would boot these, by its next boot.
    fn after_a_boot(action: Action, running: &str, profile: &str) -> &'static str {
        let deployment = Deployment {
            id: "20260101t000000z-00000000".into(),
            host: "cyt-pi".parse().unwrap(),
            revision: "a".repeat(40).parse().unwrap(),
            toplevel: toplevel("new").to_string(),
            old_toplevel: toplevel("old").to_string(),
            action: action.name().into(),
            boot_id: "before".into(),
            destination: "cyt-pi".into(),
            started_at: Timestamp::UNIX_EPOCH,
            trigger: "poll".into(),
        };
        let report = ActivationReport {
            verdict: ActivationVerdict::Vanished,
            steps: Vec::new(),
            exit_code: None,
            failed_units: Vec::new(),
            output_tail: String::new(),
            boot_id: "after".into(),
        };
        let read_back = observation(running, profile);
        outcome(&deployment, &report, &read_back).unwrap().label()
    }

    #[test]
    fn a_host_that_went_down_in_the_middle_is_there_only_if_it_came_back_on_the_new_system() {
        for action in [Action::Switch, Action::Boot] {
            for (running, profile, ended) in [
                ("new", "new", "converged"),
                ("old", "new", "activation_interrupted"),
                ("old", "old", "activation_interrupted"),
                ("new", "old", "activation_interrupted"),
            ] {
                let told = after_a_boot(action, running, profile);
                assert_eq!(told, ended, "{action:?}: {running}, {profile}");
            }
        }
    }
}
