//! What is done again after it ended, and when.

use deploy::{Outcome, Transience};

use super::*;
use crate::model::backoff::Jitter;
use crate::testing::{backoff_config, failed, quarantine, target};

pub fn after(outcome: &Outcome) -> HostState {
    let mut state = HostState::default();
    state.aim(&target('a'));
    let progress = &mut state.progress;
    progress.conclude(outcome, &backoff_config(), Jitter::NONE, now());
    state
}

fn broken() -> Outcome {
    Outcome::BuildFailed {
        detail: "builder failed".into(),
        transience: Transience::Permanent,
    }
}

#[test]
fn a_system_for_another_platform_is_not_tried_again_and_one_that_does_not_fit_is() {
    let wrong = Outcome::WrongPlatform {
        system: "aarch64-linux".into(),
        host: "x86_64-linux".into(),
    };
    let too_big = Outcome::NoSpace {
        place: "/boot".into(),
        needed: 3,
        free: 2,
        reserve: 1,
    };
    for (outcome, expected) in [(wrong, "settled"), (too_big, "backing_off")] {
        let case = Case {
            state: after(&outcome),
            ..Case::default()
        };
        check(&case, expected);
    }
}

#[test]
fn what_could_not_stay_is_kept_away_until_force_or_another_system() {
    let quarantined = |name, trigger| Case {
        state: HostState {
            quarantine: Some(quarantine(name)),
            ..HostState::default()
        },
        trigger,
        ..Case::default()
    };
    check(&quarantined("new", Trigger::Scheduled), "quarantined");
    check(&quarantined("new", Trigger::Manual), "quarantined");
    check(&quarantined("new", Trigger::Forced), "deploy");
    check(&quarantined("other", Trigger::Scheduled), "deploy");
    let dry = Case {
        action: Action::DryActivate,
        ..quarantined("new", Trigger::Scheduled)
    };
    check(&dry, "deploy");
}

#[test]
fn a_failed_attempt_backs_off_and_a_person_cuts_that_short() {
    let case = |trigger| Case {
        state: after(&failed()),
        trigger,
        ..Case::default()
    };
    check(&case(Trigger::Scheduled), "backing_off");
    check(&case(Trigger::Manual), "deploy");
    let mut due = case(Trigger::Scheduled);
    due.state.progress.next_attempt = Some(now());
    check(&due, "deploy");
}

#[test]
fn what_cannot_heal_by_itself_is_not_tried_again_without_force() {
    let case = |trigger| Case {
        state: after(&broken()),
        trigger,
        ..Case::default()
    };
    check(&case(Trigger::Scheduled), "settled");
    check(&case(Trigger::Manual), "settled");
    check(&case(Trigger::Forced), "deploy");
}

#[test]
fn a_degraded_host_is_in_sync_and_drift_from_it_is_corrected() {
    let degraded = Outcome::Degraded { units: Vec::new() };
    let case = |running: &str| Case {
        observed: Ok(observation(running, running)),
        state: after(&degraded),
        ..Case::default()
    };
    check(&case("new"), "up_to_date");
    check(&case("other"), "deploy");
}

#[test]
fn a_commit_that_failed_to_evaluate_is_not_evaluated_before_its_time() {
    let passing = Outcome::EvaluationFailed {
        detail: String::new(),
        transience: Transience::Transient,
    };
    let state = after(&passing);
    assert!(!may_evaluate(&state.progress, Trigger::Scheduled, now()));
    assert!(may_evaluate(&state.progress, Trigger::Manual, now()));
    let due = state.progress.next_attempt.unwrap();
    assert!(may_evaluate(&state.progress, Trigger::Scheduled, due));

    let lasting = after(&broken());
    let much_later = Timestamp::from_second(9_000_000).unwrap();
    assert!(!may_evaluate(
        &lasting.progress,
        Trigger::Manual,
        much_later
    ));
    assert!(may_evaluate(&lasting.progress, Trigger::Forced, now()));
}
