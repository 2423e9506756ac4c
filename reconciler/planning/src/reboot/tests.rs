//! What is decided about reboots, a case each.

use deploy::{BootEntry, RebootReason, Transience};

mod progress;

use super::*;
use crate::model::cause::Cause;
use crate::model::host_state::{self as state, HostFacts, Presence};
use crate::testing::{self, at, target, toplevel};

const OLD_BOOT: &str = "5f0c2a57-0000-4000-8000-000000000000";
const NEW_BOOT: &str = "5f0c2a57-0000-4000-8000-000000000001";

/// A host in sync with `wanted`, which has another kernel than the booted system.
fn needs_reboot() -> HostState {
    HostState {
        presence: Presence {
            last_seen: Some(at(1)),
            ..Presence::default()
        },
        facts: HostFacts {
            running: Some(toplevel("wanted")),
            reboot_reasons: vec![RebootReason::Kernel],
            ..HostFacts::default()
        },
        progress: state::Progress {
            target: Some(target('a')),
            wanted: Some(toplevel("wanted")),
            ..state::Progress::default()
        },
        ..HostState::default()
    }
}

/// A host whose wanted system cannot be activated while it runs.
fn needs_reboot_to_get_there() -> HostState {
    let mut state = drifted(needs_reboot());
    state.facts.running = Some(toplevel("old"));
    state.facts.reboot_reasons.clear();
    state.progress.outcome = Some(Outcome::RebootRequired {
        reasons: vec!["init-interface".into()],
    });
    state
}

fn drifted(mut state: HostState) -> HostState {
    state.convergence.drifted_since = Some(at(1));
    state
}

fn reboot() -> Reboot {
    Reboot {
        target: target('a'),
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
        cause: Cause::Required {
            reasons: vec![RebootReason::Kernel],
        },
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

fn situation<'a>(state: &'a HostState, others: &'a Others) -> RebootSituation<'a> {
    RebootSituation {
        action: Action::Switch,
        state,
        rule: RebootPolicy::WhenRequired,
        policy: Policy::Enforce,
        suspended: None,
        openness: &Openness::Open,
        others,
        then: Then::Nothing,
        trigger: Trigger::Scheduled,
    }
}

fn of(state: &HostState, change: impl Fn(&mut RebootSituation<'_>)) -> RebootDecision {
    let others = Others::default();
    let mut situation = situation(state, &others);
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
    for state in [needs_reboot(), needs_reboot_to_get_there()] {
        assert_eq!(of(&state, |_| ()), yes());
        let never = of(&state, |one| one.rule = RebootPolicy::Never);
        assert_eq!(never, RebootDecision::None);
        let observed = of(&state, |one| one.policy = Policy::Observe);
        assert_eq!(observed, RebootDecision::None);
    }
}

#[test]
fn a_host_that_does_not_need_it_is_left_alone() {
    let mut state = needs_reboot();
    state.facts.reboot_reasons.clear();
    assert_eq!(of(&state, |_| ()), RebootDecision::None);
}

#[test]
fn a_system_that_is_only_the_boot_default_is_booted() {
    let mut state = needs_reboot();
    state.facts.reboot_reasons.clear();
    state.facts.running = Some(toplevel("old"));
    assert_eq!(of(&state, |one| one.action = Action::Boot), yes());
    // `test` leaves another boot default: a reboot would lead away from what is wanted.
    let test = |one: &mut RebootSituation<'_>| one.action = Action::Test;
    assert_eq!(of(&needs_reboot(), test), RebootDecision::None);
}

#[test]
fn a_host_that_is_elsewhere_or_away_is_not_rebooted_whoever_asks() {
    let mut away = needs_reboot();
    away.presence.unreachable = Some("timed out".into());
    let mut refused = needs_reboot_to_get_there();
    refused.progress.outcome = Some(Outcome::ActivationRefused {
        detail: String::new(),
        transience: Transience::Transient,
    });
    for state in [drifted(needs_reboot()), away, refused] {
        let asked = of(&state, |one| {
            one.then = Then::Reboot;
            one.trigger = Trigger::Forced;
        });
        assert_eq!(asked, RebootDecision::None);
    }
}

#[test]
fn a_person_has_a_host_rebooted_that_does_not_need_it_or_is_never_rebooted_by_itself() {
    let mut state = needs_reboot();
    state.facts.reboot_reasons.clear();
    let asked = of(&state, |one| {
        one.rule = RebootPolicy::Never;
        one.policy = Policy::Observe;
        one.then = Then::Reboot;
        one.trigger = Trigger::Manual;
    });
    assert_eq!(asked, yes());
}

#[test]
fn a_suspended_host_is_not_rebooted_unless_a_person_forces_the_reboot_itself() {
    for then in [Then::Nothing, Then::Reboot] {
        let suspended = |trigger| {
            of(&needs_reboot(), |one| {
                one.suspended = Some("new disk");
                one.then = then;
                one.trigger = trigger;
            })
        };
        let blocked = RebootBlocked::Suspended {
            reason: "new disk".into(),
        };
        let forced = match then {
            Then::Nothing => RebootDecision::Blocked(blocked.clone()),
            Then::Reboot => yes(),
        };
        assert_eq!(suspended(Trigger::Manual), RebootDecision::Blocked(blocked));
        assert_eq!(suspended(Trigger::Forced), forced);
    }
}

#[test]
fn outside_of_its_window_a_host_waits_until_it_opens_or_a_person_forces_the_reboot_itself() {
    let closed = Openness::Closed {
        reason: "outside of its window, sun 02:00 to 05:00 Europe/Berlin".into(),
        opens: Some(at(1_000)),
    };
    for then in [Then::Nothing, Then::Reboot] {
        let outside = |trigger| {
            let (state, others) = (needs_reboot(), Others::default());
            decide_reboot(&RebootSituation {
                openness: &closed,
                then,
                trigger,
                ..situation(&state, &others)
            })
        };
        let RebootDecision::Blocked(blocked) = outside(Trigger::Manual) else {
            panic!("it waits");
        };
        let forced = match then {
            Then::Nothing => RebootDecision::Blocked(blocked.clone()),
            Then::Reboot => yes(),
        };
        assert_eq!(
            blocked.to_string(),
            "the reboot waits until 1970-01-01T00:16:40Z: outside of its window, sun 02:00 to 05:00 Europe/Berlin"
        );
        assert_eq!(outside(Trigger::Forced), forced);
    }
}

#[test]
fn a_host_whose_reboot_failed_is_not_rebooted_again_until_a_person_asks_or_another_system_is_wanted()
 {
    let mut state = needs_reboot();
    state.reboot = Some(failed(did_not_come_back()));
    let blocked = RebootBlocked::Failed {
        outcome: did_not_come_back(),
        since: at(100),
    };
    assert_eq!(of(&state, |_| ()), RebootDecision::Blocked(blocked.clone()));
    let asked = of(&state, |one| one.trigger = Trigger::Manual);
    assert_eq!(asked, RebootDecision::Blocked(blocked));
    assert_eq!(of(&state, |one| one.then = Then::Reboot), yes());
    let forced = of(&state, |one| one.trigger = Trigger::Forced);
    assert_eq!(forced, yes());
    state.progress.wanted = Some(toplevel("another"));
    assert!(matches!(of(&state, |_| ()), RebootDecision::Reboot { .. }));
}

#[test]
fn hosts_are_rebooted_one_at_a_time_whoever_asks() {
    let state = needs_reboot();
    let others = Others {
        rebooting: Some("spare".parse().unwrap()),
        failed: Vec::new(),
    };
    for trigger in [Trigger::Scheduled, Trigger::Forced] {
        let situation = RebootSituation {
            trigger,
            ..situation(&state, &others)
        };
        let blocked = RebootBlocked::AnotherReboots {
            host: "spare".parse().unwrap(),
        };
        assert_eq!(decide_reboot(&situation), RebootDecision::Blocked(blocked));
    }
}

#[test]
fn a_commit_whose_reboot_failed_elsewhere_takes_no_other_host_along() {
    let state = needs_reboot();
    let others = Others {
        rebooting: None,
        failed: vec!["spare".parse().unwrap()],
    };
    let mut situation = situation(&state, &others);
    let blocked = RebootBlocked::OthersFailed {
        hosts: others.failed.clone(),
    };
    assert_eq!(decide_reboot(&situation), RebootDecision::Blocked(blocked));
    situation.then = Then::Reboot;
    situation.trigger = Trigger::Manual;
    assert_eq!(decide_reboot(&situation), yes());
}
