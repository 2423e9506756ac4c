//! What is noted of a host that was observed, and of one that waits.

use desired_state::Distrust;

use super::*;
use crate::testing::{host, revision};

/// A host that was brought to the system `new` of commit `a`.
fn arrived() -> HostState {
    let mut state = HostState::default();
    state.aim(&target('a'));
    state.progress.wanted = Some(toplevel("new"));
    take(&mut state, &read_back(Outcome::Converged, "new"), 100);
    state
}

/// Notes at that second that the host runs and would boot this system.
fn note(state: &mut HostState, system: &str, second: i64) -> Option<HistoryEntry> {
    let observed = observation(system, system);
    note_drift(state, &goal('a'), None, &host(), &observed, at(second))
}

#[test]
fn a_host_that_something_else_sets_back_again_and_again_is_counted_within_the_hour() {
    let mut state = arrived();
    let mut set_back = |second| {
        let observed = observation("old", "old");
        let entry = note_drift(&mut state, &goal('a'), None, &host(), &observed, at(second));
        let there = observation("new", "new");
        note_drift(
            &mut state,
            &goal('a'),
            None,
            &host(),
            &there,
            at(second + 1),
        );
        entry.unwrap().detail
    };
    assert!(!set_back(1000).contains("set back"));
    assert!(set_back(1200).ends_with("; set back 2 times within the hour"));
    assert!(set_back(1400).ends_with("; set back 3 times within the hour"));
    assert!(set_back(4800).ends_with("; set back 2 times within the hour"));
    let there = observation("new", "new");
    note_drift(&mut state, &goal('a'), None, &host(), &there, at(9000));
    assert_eq!(state.convergence.set_back, []);
}

#[test]
fn a_host_that_something_else_has_changed_is_told_once_with_what_it_runs() {
    let mut state = arrived();
    assert_eq!(note(&mut state, "new", 200), None);
    let entry = note(&mut state, "by-hand", 300).unwrap();
    assert_eq!(HistoryKind::of(&entry), Some(HistoryKind::Drift));
    assert_eq!((entry.at, entry.host), (at(300), Some(host())));
    assert_eq!(entry.revision, Some(revision('a')));
    assert_eq!(entry.toplevel, Some(toplevel("by-hand").to_string()));
    let (by_hand, new) = (toplevel("by-hand"), toplevel("new"));
    assert_eq!(
        entry.detail,
        format!("runs {by_hand}, profile {by_hand}, wanted {new}")
    );
    assert_eq!(note(&mut state, "by-hand", 400), None);
    assert_eq!(state.convergence.drifted_since, Some(at(300)));
    // It is told again after it was undone.
    assert_eq!(note(&mut state, "new", 500), None);
    assert!(note(&mut state, "by-hand", 600).is_some());
}

#[test]
fn a_host_without_nixos_is_told_to_run_nothing() {
    let mut observed = observation("old", "old");
    (observed.running, observed.profile) = (None, None);
    let entry = note_drift(
        &mut arrived(),
        &goal('a'),
        None,
        &host(),
        &observed,
        at(200),
    )
    .unwrap();
    let new = toplevel("new");
    assert_eq!(
        entry.detail,
        format!("runs nothing, profile nothing, wanted {new}")
    );
    assert_eq!(entry.toplevel, None);
}

#[test]
fn a_host_that_was_not_yet_where_a_push_wants_it_has_not_drifted_from_there() {
    let mut state = arrived();
    state.convergence.last_good = Some(target('b'));
    assert_eq!(note(&mut state, "old", 200), None);
    assert_eq!(state.convergence.drifted_since, Some(at(200)));
    assert_eq!(state.convergence.last_good, Some(target('b')));
}

#[test]
fn a_host_found_where_it_should_be_is_good_there_and_rid_of_its_quarantine() {
    let mut state = HostState::default();
    state.aim(&target('a'));
    state.progress.wanted = Some(toplevel("new"));
    state.quarantine = Some(quarantine("new"));
    assert_eq!(note(&mut state, "old", 100), None);
    assert_eq!(state.quarantine, Some(quarantine("new")));
    assert_eq!(state.convergence.last_good, None);
    assert_eq!(note(&mut state, "new", 200), None);
    assert_eq!(state.quarantine, None);
    assert_eq!(state.convergence.last_good, Some(target('a')));
    assert_eq!(state.convergence.last_converged, Some(at(200)));
}

#[test]
fn where_no_system_is_known_or_none_would_be_changed_nothing_is_noted() {
    let unknown = HostState {
        quarantine: Some(quarantine("new")),
        ..HostState::default()
    };
    let mut state = unknown.clone();
    assert_eq!(note(&mut state, "new", 200), None);
    assert_eq!(state, unknown);
    for action in [Action::Build, Action::DryActivate] {
        let mut goal = goal('a');
        goal.target.action = action;
        let mut state = arrived();
        let observed = observation("by-hand", "by-hand");
        assert_eq!(
            note_drift(&mut state, &goal, None, &host(), &observed, at(200)),
            None
        );
        assert_eq!(state, arrived());
    }
}

fn closed(reason: &str) -> Why {
    Why::WindowClosed {
        reason: reason.into(),
        opens: Some(at(3600)),
    }
}

/// Notes at that second that the host waits for this.
fn wait(state: &mut HostState, why: Why, second: i64) -> Option<HistoryEntry> {
    note_wait(state, &Decision::Wait { why }, &host(), at(second))
}

#[test]
fn each_wait_is_told_when_it_begins_and_not_again_until_it_ended() {
    let mut state = arrived();
    let entry = wait(&mut state, closed("outside of its window"), 200).unwrap();
    assert_eq!(HistoryKind::of(&entry), Some(HistoryKind::Wait));
    assert_eq!((entry.at, entry.host), (at(200), Some(host())));
    assert_eq!(entry.revision, Some(revision('a')));
    assert_eq!(Some(entry.detail), state.progress.waits);
    assert_eq!(wait(&mut state, closed("outside of its window"), 260), None);
    assert!(
        wait(&mut state, closed("frozen"), 320).is_some(),
        "it is another"
    );
    assert_eq!(
        note_wait(&mut state, &Decision::UpToDate, &host(), at(380)),
        None
    );
    assert!(
        wait(&mut state, closed("frozen"), 440).is_some(),
        "it has begun anew"
    );
}

#[test]
fn a_wait_that_ends_by_itself_is_known_with_its_end_until_it_is_over() {
    let mut state = arrived();
    wait(&mut state, closed("outside of its window"), 200);
    assert_eq!(
        state.progress.waits,
        Some(closed("outside of its window").to_string())
    );
    assert_eq!(state.progress.waits_until, Some(at(3600)));
    let decision = Decision::Deploy {
        toplevel: toplevel("new"),
    };
    assert_eq!(note_wait(&mut state, &decision, &host(), at(3600)), None);
    assert_eq!(
        (state.progress.waits, state.progress.waits_until),
        (None, None)
    );
}

#[test]
fn what_no_other_field_of_the_status_says_is_noted_and_only_that() {
    let untrusted = Why::Untrusted {
        revision: revision('a'),
        detail: Distrust::Unsigned.to_string(),
    };
    let braked = Why::Braked { by: vec![host()] };
    let not_understood = Why::NotUnderstood {
        part: "reboot".into(),
    };
    for why in [untrusted, braked, not_understood] {
        let mut state = arrived();
        assert!(wait(&mut state, why.clone(), 200).is_some(), "{why:?}");
        assert_eq!(state.progress.waits, Some(why.to_string()));
        assert_eq!(state.progress.waits_until, None);
    }
    let suspended = Why::Suspended {
        reason: "new disk".into(),
    };
    let backing_off = Why::BackingOff {
        until: at(3600),
        outcome: failed(),
    };
    for why in [suspended, backing_off, Why::Observing, Why::NotEvaluated] {
        let mut state = arrived();
        assert_eq!(wait(&mut state, why.clone(), 200), None, "{why:?}");
        assert_eq!(state, arrived());
    }
}
