//! What is decided, a case each.

mod again;
mod properties;
mod windows;

use super::*;
use crate::model::host_state::{HostFacts, Traces};
use crate::testing::{BOOT, at, observation, revision, toplevel};

fn now() -> Timestamp {
    at(1_000_000)
}

#[derive(Debug, Clone)]
struct Case {
    action: Action,
    wanted: Option<Toplevel>,
    observed: Result<Observation, &'static str>,
    identity: Identity,
    state: HostState,
    not_understood: Option<&'static str>,
    policy: Policy,
    distrust: Option<Distrust>,
    suspended: Option<&'static str>,
    braked_by: Vec<HostName>,
    openness: Openness,
    trigger: Trigger,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            action: Action::Switch,
            wanted: Some(toplevel("new")),
            observed: Ok(observation("old", "old")),
            identity: Identity::MachineId,
            state: HostState::default(),
            not_understood: None,
            policy: Policy::Enforce,
            distrust: None,
            suspended: None,
            braked_by: Vec::new(),
            openness: Openness::Open,
            trigger: Trigger::Scheduled,
        }
    }
}

impl Case {
    fn decision(&self) -> Decision {
        let situation = Situation {
            specialised: None,
            identity: self.identity,
            action: self.action,
            revision: &revision('a'),
            distrust: self.distrust.as_ref(),
            wanted: self.wanted.as_ref(),
            observed: self.observed.as_ref().map_err(|error| *error),
            state: &self.state,
            not_understood: self.not_understood,
            policy: self.policy,
            suspended: self.suspended,
            braked_by: &self.braked_by,
            openness: &self.openness,
            trigger: self.trigger,
        };
        decide(&situation, now())
    }
}

/// A state of which only these traces are known.
fn traces(traces: Traces) -> HostState {
    HostState {
        traces,
        ..HostState::default()
    }
}

fn check(case: &Case, expected: &str) {
    assert_eq!(case.decision().label(), expected, "{case:?}");
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
        trigger: Trigger::Manual,
        ..Case::default()
    };
    check(&case, "up_to_date");
}

#[test]
fn build_and_dry_activate_are_done_once_and_again_when_a_person_asks() {
    let done = traces(Traces {
        done_once: Some((Action::Build, toplevel("new"))),
        ..Traces::default()
    });
    let build = |state: &HostState, trigger| Case {
        action: Action::Build,
        observed: Err("off"),
        state: state.clone(),
        trigger,
        ..Case::default()
    };
    check(&build(&HostState::default(), Trigger::Scheduled), "deploy");
    check(&build(&done, Trigger::Scheduled), "up_to_date");
    check(&build(&done, Trigger::Manual), "deploy");
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
        state: traces(Traces {
            broken_activation: Some((toplevel("new"), boot.into())),
            ..Traces::default()
        }),
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
        state: traces(Traces {
            half_installed: half_installed.map(toplevel),
            ..Traces::default()
        }),
        ..Case::default()
    };
    check(&case(Action::Boot, Some("new")), "deploy");
    check(&case(Action::Boot, None), "up_to_date");
    check(&case(Action::Boot, Some("another")), "up_to_date");
}

#[test]
fn a_host_that_does_not_answer_is_waited_for() {
    let case = |trigger| Case {
        observed: Err("connection refused"),
        trigger,
        ..Case::default()
    };
    check(&case(Trigger::Scheduled), "unreachable");
    check(&case(Trigger::Forced), "unreachable");
}

#[test]
fn another_machine_under_the_hosts_name_is_left_alone_even_when_it_runs_what_is_wanted() {
    let case = |known: Option<&str>, running: &str| {
        let mut observed = observation(running, running);
        observed.machine_id = "b".repeat(32);
        Case {
            observed: Ok(observed),
            state: HostState {
                facts: HostFacts {
                    machine_id: known.map(str::to_owned),
                    ..HostFacts::default()
                },
                ..HostState::default()
            },
            // Force is taken before: it forgets the machine that was known.
            trigger: Trigger::Forced,
            ..Case::default()
        }
    };
    let forgetful = Case {
        identity: Identity::HostKey,
        ..case(Some("a"), "old")
    };
    check(&forgetful, "deploy");
    check(&case(Some("a"), "old"), "another_machine");
    check(&case(Some("a"), "new"), "another_machine");
    check(&case(Some(&"b".repeat(32)), "old"), "deploy");
    check(&case(None, "old"), "deploy");
}

#[test]
fn a_commit_that_is_not_trusted_is_not_deployed_whoever_insists_and_what_runs_already_stays() {
    let case = |running: &str, trigger| Case {
        observed: Ok(observation(running, running)),
        distrust: Some(Distrust::Unsigned),
        trigger,
        ..Case::default()
    };
    check(&case("old", Trigger::Scheduled), "untrusted");
    check(&case("old", Trigger::Forced), "untrusted");
    check(&case("new", Trigger::Scheduled), "up_to_date");
}

#[test]
fn a_commit_that_other_hosts_rolled_back_waits_for_a_person() {
    let case = |trigger| Case {
        braked_by: vec!["a".parse().unwrap(), "b".parse().unwrap()],
        trigger,
        ..Case::default()
    };
    check(&case(Trigger::Scheduled), "braked");
    check(&case(Trigger::Manual), "deploy");
    let there = Case {
        observed: Ok(observation("new", "new")),
        ..case(Trigger::Scheduled)
    };
    check(&there, "up_to_date");
}

#[test]
fn observe_reports_and_changes_nothing_until_a_person_asks() {
    let case = |trigger| Case {
        policy: Policy::Observe,
        trigger,
        ..Case::default()
    };
    check(&case(Trigger::Scheduled), "observing");
    check(&case(Trigger::Manual), "deploy");
    for action in Action::ALL {
        let changing = Case {
            action,
            ..case(Trigger::Scheduled)
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
    let case = |trigger| Case {
        suspended: Some("under repair"),
        trigger,
        ..Case::default()
    };
    check(&case(Trigger::Scheduled), "suspended");
    check(&case(Trigger::Manual), "suspended");
    check(&case(Trigger::Forced), "deploy");
    let in_sync = Case {
        observed: Ok(observation("new", "new")),
        ..case(Trigger::Scheduled)
    };
    check(&in_sync, "up_to_date");
}

#[test]
fn what_cannot_be_read_keeps_the_host_from_every_change_until_force_and_from_nothing_else() {
    for action in Action::ALL {
        let case = |trigger| Case {
            action,
            not_understood: Some("quarantine"),
            trigger,
            ..Case::default()
        };
        let expected = if action.changes_host() {
            "not_understood"
        } else {
            "deploy"
        };
        check(&case(Trigger::Scheduled), expected);
        check(&case(Trigger::Manual), expected);
        check(&case(Trigger::Forced), "deploy");
    }
    let there = Case {
        observed: Ok(observation("new", "new")),
        not_understood: Some("quarantine"),
        ..Case::default()
    };
    check(&there, "up_to_date");
}

#[test]
fn a_host_whose_commit_is_not_evaluated_is_left_alone_and_a_person_reads_why() {
    let case = Case {
        wanted: None,
        ..Case::default()
    };
    assert_eq!(
        case.decision().to_string(),
        "nothing to deploy: the wanted revision has not been evaluated"
    );
    // There is nothing yet that a window or a policy could be for.
    let observed = Case {
        policy: Policy::Observe,
        openness: Openness::Closed {
            reason: "frozen".into(),
            opens: None,
        },
        ..case
    };
    check(&observed, "not_evaluated");
}
