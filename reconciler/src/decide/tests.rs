//! What is decided, a case each.

use std::time::Duration;

mod again;
mod windows;

use super::*;
use crate::testing::{BOOT, observation, toplevel};

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
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
