//! What is done again after it ended, and when.

use deploy::Transience;

use super::*;
use crate::config::BackoffConfig;
use crate::memory::{Jitter, Target};

pub fn after(outcome: &Outcome) -> Memory {
    let backoff = BackoffConfig {
        first: Duration::from_secs(10),
        factor: 2.0,
        max: Duration::from_secs(3600),
        jitter: 0.0,
    };
    let mut memory = Memory::default();
    memory.aim(&Target {
        revision: "a".repeat(40).parse().unwrap(),
        action: Action::Switch,
    });
    memory.conclude(outcome, &backoff, Jitter::NONE, now());
    memory
}

pub fn failed() -> Outcome {
    Outcome::ActivationFailed {
        step: "test".into(),
        code: Some(2),
        detail: String::new(),
    }
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
            memory: after(&outcome),
            ..Case::default()
        };
        check(&case, expected);
    }
}

#[test]
fn what_could_not_stay_is_kept_away_until_force_or_another_system() {
    let quarantined = |toplevel_name: &str, insistence| Case {
        memory: Memory {
            quarantine: Some(crate::memory::Quarantine {
                toplevel: toplevel(toplevel_name),
                outcome: failed(),
                since: now(),
            }),
            ..Memory::default()
        },
        insistence,
        ..Case::default()
    };
    check(&quarantined("new", Insistence::None), "quarantined");
    check(&quarantined("new", Insistence::Asked), "quarantined");
    check(&quarantined("new", Insistence::Forced), "deploy");
    check(&quarantined("other", Insistence::None), "deploy");
    let dry = Case {
        action: Action::DryActivate,
        ..quarantined("new", Insistence::None)
    };
    check(&dry, "deploy");
}

#[test]
fn a_failed_attempt_backs_off_and_a_person_cuts_that_short() {
    let case = |insistence| Case {
        memory: after(&failed()),
        insistence,
        ..Case::default()
    };
    check(&case(Insistence::None), "backing_off");
    check(&case(Insistence::Asked), "deploy");
    let mut due = case(Insistence::None);
    due.memory.next_attempt = Some(now());
    check(&due, "deploy");
}

#[test]
fn what_cannot_heal_by_itself_is_not_tried_again_without_force() {
    let case = |insistence| Case {
        memory: after(&broken()),
        insistence,
        ..Case::default()
    };
    check(&case(Insistence::None), "settled");
    check(&case(Insistence::Asked), "settled");
    check(&case(Insistence::Forced), "deploy");
}

#[test]
fn a_degraded_host_is_in_sync_and_drift_from_it_is_corrected() {
    let degraded = Outcome::Degraded { units: Vec::new() };
    let case = |running: &str| Case {
        observed: Ok(observation(running, running)),
        memory: after(&degraded),
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
    let memory = after(&passing);
    assert!(!may_evaluate(&memory, Insistence::None, now()));
    assert!(may_evaluate(&memory, Insistence::Asked, now()));
    let due = memory.next_attempt.unwrap();
    assert!(may_evaluate(&memory, Insistence::None, due));

    let lasting = after(&broken());
    let much_later = Timestamp::from_second(9_000_000).unwrap();
    assert!(!may_evaluate(&lasting, Insistence::Asked, much_later));
    assert!(may_evaluate(&lasting, Insistence::Forced, now()));
}
