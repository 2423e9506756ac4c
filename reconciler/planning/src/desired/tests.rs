//! What is wanted, a case each.

use super::*;
use crate::model::order::{Then, Trigger};
use crate::testing::{at, goal, host, host_config, revision, wish};

fn on(digit: char) -> Wish {
    wish(Some(revision(digit)), BranchState::Present)
}

fn pin(digit: char, action: &str) -> Pin {
    Pin {
        host: host(),
        revision: revision(digit),
        action: action.into(),
        branch: None,
        by: "ada".into(),
        since: at(20),
    }
}

fn order(digit: Option<char>, action: Option<Action>) -> Order {
    Order {
        id: 1,
        revision: digit.map(revision),
        action,
        then: Then::Nothing,
        trigger: Trigger::Manual,
        by: "grace".into(),
        at: at(30),
    }
}

/// What is wanted by these: the commit's digit, the action, and whether the loop keeps the host there.
fn wanted(pin: Option<&Pin>, wish: Option<&Wish>, order: &Order) -> (Revision, Action, bool) {
    let goal = desired(&host_config(), pin, wish, Some(order)).unwrap();
    let is_kept = goal.kind.is_persistent();
    (goal.target.revision, goal.target.action, is_kept)
}

/// Why nothing is wanted where the branch asks for this, as a person reads it.
fn nothing(wish: Option<&Wish>) -> String {
    let why = desired(&host_config(), None, wish, None).unwrap_err();
    assert!(matches!(why, Why::NoRevision { .. }), "{why:?}");
    why.to_string()
}

#[test]
fn the_loop_keeps_a_host_at_the_tip_of_its_branch_by_the_configured_action() {
    let of_branch = Goal {
        since: at(5),
        ..goal('a')
    };
    let config = host_config();
    assert_eq!(desired(&config, None, Some(&on('a')), None), Ok(of_branch));
}

#[test]
fn a_pin_comes_before_the_branch_and_brings_its_own_action() {
    let pinned = Goal {
        target: Target {
            revision: revision('b'),
            action: Action::Boot,
        },
        since: at(20),
        cause: Cause::Pin { by: "ada".into() },
        kind: GoalKind::Persistent,
    };
    let (config, pin) = (host_config(), pin('b', "boot"));
    for wish in [None, Some(&on('a'))] {
        let goal = desired(&config, Some(&pin), wish, None);
        assert_eq!(goal.as_ref(), Ok(&pinned));
    }
}

#[test]
fn a_pin_by_an_action_of_another_version_is_kept_by_the_configured_one() {
    let pin = pin('b', "teleport");
    let goal = kept(&host_config(), Some(&pin), None).unwrap();
    assert_eq!(goal.target.action, host_config().action);
}

#[test]
fn an_order_for_a_commit_comes_before_the_pin_and_is_carried_out_once() {
    let ordered = Goal {
        target: Target {
            revision: revision('c'),
            action: Action::Test,
        },
        since: at(30),
        cause: Cause::Person { by: "grace".into() },
        kind: GoalKind::OneOff,
    };
    let (config, pin, order) = (
        host_config(),
        pin('b', "boot"),
        order(Some('c'), Some(Action::Test)),
    );
    // It needs neither a pin nor a branch that has been fetched.
    for (pin, wish) in [(Some(&pin), Some(&on('a'))), (None, None)] {
        let goal = desired(&config, pin, wish, Some(&order));
        assert_eq!(goal.as_ref(), Ok(&ordered));
    }
}

#[test]
fn an_order_for_a_commit_without_an_action_is_carried_out_by_the_configured_one() {
    let (pin, order) = (pin('b', "boot"), order(Some('c'), None));
    let once = (revision('c'), Action::Switch, false);
    assert_eq!(wanted(Some(&pin), None, &order), once);
}

#[test]
fn an_order_without_a_commit_is_once_if_it_is_for_another_action_and_else_for_what_is_kept() {
    let (pin, on_a) = (pin('b', "boot"), on('a'));
    for (pin, action, expected) in [
        (None, None, ('a', Action::Switch, true)),
        (None, Some(Action::Switch), ('a', Action::Switch, true)),
        (None, Some(Action::Build), ('a', Action::Build, false)),
        (Some(&pin), None, ('b', Action::Boot, true)),
        (Some(&pin), Some(Action::Boot), ('b', Action::Boot, true)),
        (
            Some(&pin),
            Some(Action::Switch),
            ('b', Action::Switch, false),
        ),
    ] {
        let (digit, by, is_kept) = expected;
        let wanted = wanted(pin, Some(&on_a), &order(None, action));
        assert_eq!(wanted, (revision(digit), by, is_kept), "{action:?}");
    }
}

#[test]
fn an_order_without_a_commit_brings_none_where_none_is_known() {
    let config = host_config();
    for action in [None, Some(Action::Build)] {
        let ordered = desired(&config, None, None, Some(&order(None, action)));
        assert_eq!(ordered, desired(&config, None, None, None));
    }
}

#[test]
fn where_nothing_is_wanted_a_person_reads_what_is_missing() {
    assert_eq!(
        nothing(None),
        "nothing to deploy: branch main of infra-team/infra has not been looked at yet"
    );
    assert_eq!(
        nothing(Some(&wish(None, BranchState::Gone))),
        "nothing to deploy: infra-team/infra has no branch main"
    );
    let untrusted = BranchState::Untrusted {
        to: revision('a'),
        why: "it is not signed".into(),
    };
    assert_eq!(
        nothing(Some(&wish(None, untrusted))),
        format!(
            "nothing to deploy: commit {} of main is not trusted: it is not signed",
            revision('a').short()
        )
    );
}

#[test]
fn a_branch_that_is_gone_rewound_or_not_trusted_leaves_the_host_on_its_commit() {
    let to = revision('b');
    let why = "it is not signed".to_owned();
    for state in [
        BranchState::Gone,
        BranchState::Rewound { to: to.clone() },
        BranchState::Untrusted { to, why },
    ] {
        let wish = wish(Some(revision('a')), state);
        let goal = kept(&host_config(), None, Some(&wish)).unwrap();
        assert_eq!(goal.target.revision, revision('a'));
    }
}

#[test]
fn a_wish_for_another_branch_or_another_repository_counts_for_nothing() {
    let mut branch = on('a');
    branch.branch = "another".parse().unwrap();
    let mut repository = on('a');
    repository.repository = "infra-team/another".parse().unwrap();
    for elsewhere in [branch, repository] {
        assert_eq!(nothing(Some(&elsewhere)), nothing(None));
    }
}
