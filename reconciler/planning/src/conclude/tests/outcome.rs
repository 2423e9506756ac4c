//! How an attempt ended, by what its host says.

use deploy::ActivationVerdict;

use super::*;
use crate::testing::{host, revision};

const EVERY_REASON: [RollbackReason; 3] = [
    RollbackReason::NotAcknowledged,
    RollbackReason::Unattended,
    RollbackReason::Degraded { units: Vec::new() },
];

fn deployment(action: &str) -> Deployment {
    Deployment {
        id: "20260101t000000z-00000000".into(),
        host: host(),
        revision: revision('a'),
        toplevel: toplevel("new").to_string(),
        old_toplevel: toplevel("old").to_string(),
        action: action.into(),
        boot_id: "before".into(),
        destination: "cyt-pi".into(),
        started_at: at(0),
        trigger: "poll".into(),
    }
}

fn report(verdict: ActivationVerdict) -> ActivationReport {
    ActivationReport {
        verdict,
        steps: Vec::new(),
        exit_code: None,
        failed_units: Vec::new(),
        output_tail: String::new(),
        boot_id: "after".into(),
    }
}

/// How a deployment of `new` ended that told this, on a host that runs and would boot these, on another boot than
/// before.
fn told(action: Action, verdict: ActivationVerdict, running: &str, profile: &str) -> Outcome {
    let read_back = observation(running, profile);
    outcome(&deployment(action.name()), &report(verdict), &read_back).unwrap()
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
            let told = told(action, ActivationVerdict::Vanished, running, profile);
            assert_eq!(told.label(), ended, "{action:?}: {running}, {profile}");
        }
    }
}

#[test]
fn a_host_in_a_specialisation_of_the_new_system_is_there() {
    let read_back = crate::testing::specialised("new", "travel");
    let report = report(ActivationVerdict::Done);
    for action in [Action::Switch, Action::Test] {
        let ended = outcome(&deployment(action.name()), &report, &read_back);
        assert_eq!(ended, Some(Outcome::Converged));
    }
}

#[test]
fn what_an_activation_tells_of_its_success_is_believed_only_of_a_host_that_is_there() {
    for (action, running, profile, ended) in [
        (Action::Switch, "new", "new", "converged"),
        (Action::Switch, "new", "old", "observed_changed"),
        (Action::Switch, "old", "new", "observed_changed"),
        (Action::Test, "new", "old", "converged"),
        (Action::Test, "old", "new", "observed_changed"),
        (Action::Boot, "old", "new", "converged"),
        (Action::Boot, "new", "old", "observed_changed"),
        (Action::DryActivate, "old", "old", "dry_activated"),
    ] {
        let told = told(action, ActivationVerdict::Done, running, profile);
        assert_eq!(told.label(), ended, "{action:?}: {running}, {profile}");
    }
}

#[test]
fn what_an_activation_tells_of_its_failure_is_believed_wherever_the_host_is() {
    let went_back = ActivationVerdict::RolledBack {
        reason: RollbackReason::NotAcknowledged,
    };
    for system in ["old", "new"] {
        let told = told(Action::Switch, went_back.clone(), system, system);
        assert_eq!(told.label(), "rolled_back", "{system}");
    }
}

#[test]
fn an_activation_of_which_a_host_on_the_same_boot_knows_nothing_has_vanished() {
    let mut read_back = observation("new", "new");
    read_back.boot_id = "before".into();
    let report = report(ActivationVerdict::Vanished);
    let told = outcome(&deployment("switch"), &report, &read_back).unwrap();
    assert_eq!(told.label(), "vanished");
}

#[test]
fn an_activation_that_is_under_way_or_of_another_version_has_not_ended() {
    let read_back = observation("new", "new");
    for (action, verdict) in [
        ("switch", ActivationVerdict::StillRunning),
        ("switch", ActivationVerdict::Awaiting),
        ("teleport", ActivationVerdict::Done),
    ] {
        let told = outcome(&deployment(action), &report(verdict), &read_back);
        assert_eq!(told, None, "{action}");
    }
}

#[test]
fn a_host_that_went_back_for_want_of_a_login_is_to_blame_only_if_we_were_there_to_log_in() {
    for reason in EVERY_REASON {
        let outcome = rolled_back(reason);
        assert_eq!(blame(Attendance::There, outcome.clone()), outcome);
    }
    for (reason, blamed) in [
        (RollbackReason::NotAcknowledged, RollbackReason::Unattended),
        (RollbackReason::Unattended, RollbackReason::Unattended),
        (
            RollbackReason::Degraded { units: Vec::new() },
            RollbackReason::Degraded { units: Vec::new() },
        ),
    ] {
        let outcome = blame(Attendance::Away, rolled_back(reason));
        assert_eq!(outcome, rolled_back(blamed));
    }
    assert_eq!(blame(Attendance::Away, failed()), failed());
}

#[test]
fn an_activation_broke_off_where_it_neither_ended_well_nor_went_back() {
    let text = String::new;
    for outcome in [
        failed(),
        rollback_failed(),
        Outcome::ActivationRefused {
            detail: text(),
            transience: Transience::Transient,
        },
        Outcome::ActivationInterrupted { cause: text() },
    ] {
        assert!(broke_off(&outcome), "{outcome:?}");
    }
    for outcome in [
        Outcome::Converged,
        Outcome::Degraded { units: vec![] },
        rolled_back(RollbackReason::NotAcknowledged),
        unreachable(),
        Outcome::Vanished { detail: text() },
        Outcome::Locked { by: text() },
    ] {
        assert!(!broke_off(&outcome), "{outcome:?}");
    }
}
