//! What is decided, a case each.

use std::collections::BTreeMap;
use std::time::Duration;

use deploy::{SwitchLock, Transience};

mod windows;

use super::*;
use crate::config::BackoffConfig;
use crate::memory::{Jitter, Target};

const BOOT: &str = "5f0c2a57-0000-4000-8000-000000000000";

fn toplevel(name: &str) -> Toplevel {
    format!("/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-{name}")
        .parse()
        .unwrap()
}

fn observation(running: &str, profile: &str) -> Observation {
    Observation {
        running: Some(toplevel(running)),
        booted: None,
        profile: Some(toplevel(profile)),
        generation: None,
        boot_id: BOOT.into(),
        machine_id: String::new(),
        platforms: Vec::new(),
        system_state: "running".into(),
        failed_units: Vec::new(),
        unfinished_lists: false,
        reboot_reasons: Vec::new(),
        free_bytes: BTreeMap::new(),
        switch_lock: SwitchLock::Free,
        deployments: Vec::new(),
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

fn after(outcome: &Outcome) -> Memory {
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

fn failed() -> Outcome {
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

struct Case {
    action: Action,
    observed: Result<Observation, &'static str>,
    memory: Memory,
    policy: Policy,
    distrust: Option<Distrust>,
    suspended: Option<&'static str>,
    braked_by: Vec<HostName>,
    openness: Openness,
    insistence: Insistence,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            action: Action::Switch,
            observed: Ok(observation("old", "old")),
            memory: Memory::default(),
            policy: Policy::Enforce,
            distrust: None,
            suspended: None,
            braked_by: Vec::new(),
            openness: Openness::Open,
            insistence: Insistence::None,
        }
    }
}

/// Decides for a host that is wanted on the toplevel `new`.
fn check(case: &Case, expected: &str) {
    let wanted = toplevel("new");
    let revision = "a".repeat(40).parse().unwrap();
    let situation = Situation {
        action: case.action,
        revision: &revision,
        distrust: case.distrust.as_ref(),
        wanted: Some(&wanted),
        observed: case.observed.as_ref().map_err(|error| *error),
        memory: &case.memory,
        policy: case.policy,
        suspended: case.suspended,
        braked_by: &case.braked_by,
        openness: &case.openness,
        insistence: case.insistence,
    };
    assert_eq!(decide(&situation, now()).label(), expected);
}

#[test]
fn a_host_elsewhere_is_deployed() {
    check(&Case::default(), "deploy");
}

#[test]
fn switch_wants_both_the_running_system_and_the_profile() {
    let at = |running, profile| Case {
        observed: Ok(observation(running, profile)),
        ..Case::default()
    };
    check(&at("new", "new"), "up_to_date");
    check(&at("new", "old"), "deploy");
    check(&at("old", "new"), "deploy");
}

#[test]
fn test_wants_the_running_system_and_boot_the_profile() {
    let at = |action, running, profile| Case {
        action,
        observed: Ok(observation(running, profile)),
        ..Case::default()
    };
    check(&at(Action::Test, "new", "old"), "up_to_date");
    check(&at(Action::Test, "old", "new"), "deploy");
    check(&at(Action::Boot, "old", "new"), "up_to_date");
    check(&at(Action::Boot, "new", "old"), "deploy");
}

#[test]
fn a_host_that_boots_what_is_wanted_is_left_alone_also_when_a_person_asks() {
    let case = Case {
        action: Action::Boot,
        observed: Ok(observation("old", "new")),
        insistence: Insistence::Asked,
        ..Case::default()
    };
    check(&case, "up_to_date");
}

#[test]
fn build_and_dry_activate_are_done_once_and_again_when_a_person_asks() {
    let done = Memory {
        done_once: Some((Action::Build, toplevel("new"))),
        ..Memory::default()
    };
    let build = |memory: &Memory, insistence| Case {
        action: Action::Build,
        observed: Err("off"),
        memory: memory.clone(),
        insistence,
        ..Case::default()
    };
    check(&build(&Memory::default(), Insistence::None), "deploy");
    check(&build(&done, Insistence::None), "up_to_date");
    check(&build(&done, Insistence::Asked), "deploy");
}

#[test]
fn a_host_is_not_there_while_a_switch_left_units_to_start() {
    let mut observed = observation("new", "new");
    observed.unfinished_lists = true;
    let case = Case {
        observed: Ok(observed),
        ..Case::default()
    };
    check(&case, "deploy");
}

#[test]
fn a_host_is_not_there_after_an_activation_that_broke_off_until_it_has_booted() {
    let case = |boot: &str| Case {
        observed: Ok(observation("new", "new")),
        memory: Memory {
            broken_activation: Some((toplevel("new"), boot.into())),
            ..Memory::default()
        },
        ..Case::default()
    };
    check(&case(BOOT), "deploy");
    check(&case("another boot"), "up_to_date");
}

#[test]
fn a_profile_without_a_boot_entry_is_not_there_until_boot_has_ended_well() {
    let case = |action, half_installed: Option<&str>| Case {
        action,
        observed: Ok(observation("old", "new")),
        memory: Memory {
            half_installed: half_installed.map(toplevel),
            ..Memory::default()
        },
        ..Case::default()
    };
    check(&case(Action::Boot, Some("new")), "deploy");
    check(&case(Action::Boot, None), "up_to_date");
    check(&case(Action::Boot, Some("another")), "up_to_date");
}

#[test]
fn a_host_that_does_not_answer_is_waited_for() {
    let case = |insistence| Case {
        observed: Err("connection refused"),
        insistence,
        ..Case::default()
    };
    check(&case(Insistence::None), "unreachable");
    check(&case(Insistence::Forced), "unreachable");
}

#[test]
fn another_machine_under_the_hosts_name_is_left_alone_even_when_it_runs_what_is_wanted() {
    let case = |known: Option<&str>, running: &str| {
        let mut observed = observation(running, running);
        observed.machine_id = "b".repeat(32);
        Case {
            observed: Ok(observed),
            memory: Memory {
                machine_id: known.map(str::to_owned),
                ..Memory::default()
            },
            // Force is taken before: it forgets the machine that was known.
            insistence: Insistence::Forced,
            ..Case::default()
        }
    };
    check(&case(Some("a"), "old"), "another_machine");
    check(&case(Some("a"), "new"), "another_machine");
    check(&case(Some(&"b".repeat(32)), "old"), "deploy");
    check(&case(None, "old"), "deploy");
}

#[test]
fn a_commit_that_is_not_trusted_is_not_deployed_whoever_insists_and_what_runs_already_stays() {
    let case = |running: &str, insistence| Case {
        observed: Ok(observation(running, running)),
        distrust: Some(Distrust::Unsigned),
        insistence,
        ..Case::default()
    };
    check(&case("old", Insistence::None), "untrusted");
    check(&case("old", Insistence::Forced), "untrusted");
    check(&case("new", Insistence::None), "up_to_date");
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
fn a_commit_that_other_hosts_rolled_back_waits_for_a_person() {
    let case = |insistence| Case {
        braked_by: vec!["a".parse().unwrap(), "b".parse().unwrap()],
        insistence,
        ..Case::default()
    };
    check(&case(Insistence::None), "braked");
    check(&case(Insistence::Asked), "deploy");
    let there = Case {
        observed: Ok(observation("new", "new")),
        ..case(Insistence::None)
    };
    check(&there, "up_to_date");
}

#[test]
fn observe_reports_and_changes_nothing_until_a_person_asks() {
    let case = |insistence| Case {
        policy: Policy::Observe,
        insistence,
        ..Case::default()
    };
    check(&case(Insistence::None), "observing");
    check(&case(Insistence::Asked), "deploy");
    for action in Action::ALL {
        let changing = Case {
            action,
            ..case(Insistence::None)
        };
        let expected = if action.changes_host() {
            "observing"
        } else {
            "deploy"
        };
        check(&changing, expected);
    }
}

#[test]
fn a_suspended_host_needs_force_and_is_still_seen_in_sync() {
    let case = |insistence| Case {
        suspended: Some("under repair"),
        insistence,
        ..Case::default()
    };
    check(&case(Insistence::None), "suspended");
    check(&case(Insistence::Asked), "suspended");
    check(&case(Insistence::Forced), "deploy");
    let in_sync = Case {
        observed: Ok(observation("new", "new")),
        ..case(Insistence::None)
    };
    check(&in_sync, "up_to_date");
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
