//! What is decided about reboots, a case each.

use deploy::RebootReason;

mod progress;

use super::*;
use crate::testing::{self, toplevel};

const OLD_BOOT: &str = "5f0c2a57-0000-4000-8000-000000000000";
const NEW_BOOT: &str = "5f0c2a57-0000-4000-8000-000000000001";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn target() -> Target {
    Target {
        revision: "a".repeat(40).parse().unwrap(),
        action: Action::Switch,
    }
}

/// A host in sync with `wanted`, which has another kernel than the booted system.
fn needs_reboot() -> Memory {
    Memory {
        target: Some(target()),
        last_seen: Some(at(1)),
        wanted: Some(toplevel("wanted")),
        running: Some(toplevel("wanted")),
        reboot_reasons: vec![RebootReason::Kernel],
        ..Memory::default()
    }
}

/// A host whose wanted system cannot be activated while it runs.
fn needs_reboot_to_get_there() -> Memory {
    Memory {
        running: Some(toplevel("old")),
        drifted_since: Some(at(1)),
        outcome: Some(Outcome::RebootRequired {
            reasons: vec!["init-interface".into()],
        }),
        reboot_reasons: Vec::new(),
        ..needs_reboot()
    }
}

fn reboot() -> Reboot {
    Reboot {
        target: target(),
        wanted_since: at(0),
        toplevel: toplevel("wanted"),
        boot_id: OLD_BOOT.into(),
        entry: BootEntry {
            generation: Some(42),
            toplevel: Some(toplevel("wanted")),
        },
        failed_before: vec!["old.service".into()],
        began: at(100),
        deadline: at(700),
        cause: "required: kernel".into(),
        failure: None,
    }
}

fn failed(outcome: Outcome) -> Reboot {
    Reboot {
        failure: Some(outcome),
        ..reboot()
    }
}

fn did_not_come_back() -> Outcome {
    Outcome::DidNotComeBack {
        entry: reboot().entry,
        detail: "timed out".into(),
    }
}

fn situation<'a>(memory: &'a Memory, others: &'a Others) -> RebootSituation<'a> {
    RebootSituation {
        action: Action::Switch,
        memory,
        rule: RebootPolicy::WhenRequired,
        policy: Policy::Enforce,
        suspended: None,
        openness: &Openness::Open,
        others,
        then: Then::Nothing,
        insistence: Insistence::None,
    }
}

fn of(memory: &Memory, change: impl Fn(&mut RebootSituation<'_>)) -> RebootDecision {
    let others = Others::default();
    let mut situation = situation(memory, &others);
    change(&mut situation);
    decide_reboot(&situation)
}

fn yes() -> RebootDecision {
    RebootDecision::Reboot {
        toplevel: toplevel("wanted"),
    }
}

#[test]
fn a_host_that_needs_it_is_rebooted_where_the_policy_says_so_and_nowhere_else() {
    for memory in [needs_reboot(), needs_reboot_to_get_there()] {
        assert_eq!(of(&memory, |_| ()), yes());
        let never = of(&memory, |one| one.rule = RebootPolicy::Never);
        assert_eq!(never, RebootDecision::None);
        let observed = of(&memory, |one| one.policy = Policy::Observe);
        assert_eq!(observed, RebootDecision::None);
    }
}

#[test]
fn a_host_that_does_not_need_it_is_left_alone() {
    let mut memory = needs_reboot();
    memory.reboot_reasons.clear();
    assert_eq!(of(&memory, |_| ()), RebootDecision::None);
}

#[test]
fn a_system_that_is_only_the_boot_default_is_booted() {
    let mut memory = needs_reboot();
    memory.reboot_reasons.clear();
    memory.running = Some(toplevel("old"));
    assert_eq!(of(&memory, |one| one.action = Action::Boot), yes());
    // `test` leaves another boot default: a reboot would lead away from what is wanted.
    let test = |one: &mut RebootSituation<'_>| one.action = Action::Test;
    assert_eq!(of(&needs_reboot(), test), RebootDecision::None);
}

#[test]
fn a_host_that_is_elsewhere_or_away_is_not_rebooted_whoever_asks() {
    let drifted = Memory {
        drifted_since: Some(at(1)),
        ..needs_reboot()
    };
    let away = Memory {
        unreachable: Some("timed out".into()),
        ..needs_reboot()
    };
    let rolled_back = Memory {
        outcome: Some(Outcome::ActivationRefused {
            detail: String::new(),
        }),
        ..needs_reboot_to_get_there()
    };
    for memory in [drifted, away, rolled_back] {
        let asked = of(&memory, |one| {
            one.then = Then::Reboot;
            one.insistence = Insistence::Forced;
        });
        assert_eq!(asked, RebootDecision::None);
    }
}

#[test]
fn a_person_has_a_host_rebooted_that_does_not_need_it_or_is_never_rebooted_by_itself() {
    let mut memory = needs_reboot();
    memory.reboot_reasons.clear();
    let asked = of(&memory, |one| {
        one.rule = RebootPolicy::Never;
        one.policy = Policy::Observe;
        one.then = Then::Reboot;
        one.insistence = Insistence::Asked;
    });
    assert_eq!(asked, yes());
}

#[test]
fn a_suspended_host_is_not_rebooted_unless_a_person_forces_the_reboot_itself() {
    for then in [Then::Nothing, Then::Reboot] {
        let suspended = |insistence| {
            of(&needs_reboot(), |one| {
                one.suspended = Some("new disk");
                one.then = then;
                one.insistence = insistence;
            })
        };
        let hold = RebootHold::Suspended {
            reason: "new disk".into(),
        };
        let forced = match then {
            Then::Nothing => RebootDecision::Hold(hold.clone()),
            Then::Reboot => yes(),
        };
        assert_eq!(suspended(Insistence::Asked), RebootDecision::Hold(hold));
        assert_eq!(suspended(Insistence::Forced), forced);
    }
}

#[test]
fn outside_of_its_window_a_host_waits_until_it_opens_or_a_person_forces_the_reboot_itself() {
    let closed = Openness::Closed {
        reason: "outside of its window, sun 02:00 to 05:00 Europe/Berlin".into(),
        opens: Some(at(1_000)),
    };
    for then in [Then::Nothing, Then::Reboot] {
        let outside = |insistence| {
            let (memory, others) = (needs_reboot(), Others::default());
            decide_reboot(&RebootSituation {
                openness: &closed,
                then,
                insistence,
                ..situation(&memory, &others)
            })
        };
        let RebootDecision::Hold(hold) = outside(Insistence::Asked) else {
            panic!("it waits");
        };
        let forced = match then {
            Then::Nothing => RebootDecision::Hold(hold.clone()),
            Then::Reboot => yes(),
        };
        assert_eq!(
            hold.to_string(),
            "the reboot waits until 1970-01-01T00:16:40Z: outside of its window, sun 02:00 to 05:00 Europe/Berlin"
        );
        assert_eq!(outside(Insistence::Forced), forced);
    }
}

#[test]
fn a_host_whose_reboot_failed_is_not_rebooted_again_until_a_person_asks_or_another_system_is_wanted()
 {
    let mut memory = needs_reboot();
    memory.reboot = Some(failed(did_not_come_back()));
    let hold = RebootHold::Failed {
        outcome: did_not_come_back(),
        since: at(100),
    };
    assert_eq!(of(&memory, |_| ()), RebootDecision::Hold(hold.clone()));
    let looked_at = of(&memory, |one| one.insistence = Insistence::Asked);
    assert_eq!(looked_at, RebootDecision::Hold(hold));
    assert_eq!(of(&memory, |one| one.then = Then::Reboot), yes());
    let forced = of(&memory, |one| one.insistence = Insistence::Forced);
    assert_eq!(forced, yes());
    memory.wanted = Some(toplevel("another"));
    assert!(matches!(of(&memory, |_| ()), RebootDecision::Reboot { .. }));
}

#[test]
fn hosts_are_rebooted_one_at_a_time_whoever_asks() {
    let memory = needs_reboot();
    let others = Others {
        rebooting: Some("spare".parse().unwrap()),
        failed: Vec::new(),
    };
    for insistence in [Insistence::None, Insistence::Forced] {
        let situation = RebootSituation {
            insistence,
            ..situation(&memory, &others)
        };
        let hold = RebootHold::AnotherReboots {
            host: "spare".parse().unwrap(),
        };
        assert_eq!(decide_reboot(&situation), RebootDecision::Hold(hold));
    }
}

#[test]
fn a_commit_whose_reboot_failed_elsewhere_takes_no_other_host_along() {
    let memory = needs_reboot();
    let others = Others {
        rebooting: None,
        failed: vec!["spare".parse().unwrap()],
    };
    let mut situation = situation(&memory, &others);
    let hold = RebootHold::OthersFailed {
        hosts: others.failed.clone(),
    };
    assert_eq!(decide_reboot(&situation), RebootDecision::Hold(hold));
    situation.then = Then::Reboot;
    situation.insistence = Insistence::Asked;
    assert_eq!(decide_reboot(&situation), yes());
}
