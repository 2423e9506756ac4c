//! Windows and freezes.

use std::time::Duration;

use super::again::after;
use super::*;
use crate::testing::failed;

fn closed() -> Openness {
    Openness::Closed {
        reason: "frozen until tomorrow: nobody is there".into(),
        opens: Some(now() + Duration::from_secs(3600)),
    }
}

#[test]
fn in_a_closed_window_a_host_waits_for_its_opening_or_for_force() {
    let case = |trigger| Case {
        openness: closed(),
        trigger,
        ..Case::default()
    };
    check(&case(Trigger::Scheduled), "window_closed");
    check(&case(Trigger::Manual), "window_closed");
    check(&case(Trigger::Forced), "deploy");
    let there = Case {
        observed: Ok(observation("new", "new")),
        ..case(Trigger::Scheduled)
    };
    check(&there, "up_to_date");
}

#[test]
fn a_closed_window_holds_up_every_change_and_nothing_else() {
    for action in Action::ALL {
        let case = Case {
            action,
            openness: closed(),
            ..Case::default()
        };
        let expected = if action.changes_host() {
            "window_closed"
        } else {
            "deploy"
        };
        check(&case, expected);
    }
}

#[test]
fn in_a_closed_window_it_is_told_what_would_keep_the_host_waiting_in_an_open_one_too() {
    let case = || Case {
        openness: closed(),
        ..Case::default()
    };
    let suspended = Case {
        suspended: Some("under repair"),
        ..case()
    };
    check(&suspended, "suspended");
    let observed = Case {
        policy: Policy::Observe,
        ..case()
    };
    check(&observed, "observing");
    let braked = Case {
        braked_by: vec!["a".parse().unwrap(), "b".parse().unwrap()],
        ..case()
    };
    check(&braked, "braked");
    // The backoff has passed when the window opens.
    let failed = Case {
        state: after(&failed()),
        ..case()
    };
    check(&failed, "window_closed");
}

#[test]
fn a_host_that_waits_for_its_window_says_when_it_opens_and_how_not_to_wait() {
    let Openness::Closed { reason, opens } = closed() else {
        panic!("it is closed");
    };
    let why = |opens| Why::WindowClosed {
        reason: reason.clone(),
        opens,
    };
    assert_eq!(
        why(opens).to_string(),
        "frozen until tomorrow: nobody is there; deployed at 1970-01-12T14:46:40Z, or now with --force"
    );
    assert_eq!(
        why(None).to_string(),
        "frozen until tomorrow: nobody is there; deployed only with --force"
    );
}
