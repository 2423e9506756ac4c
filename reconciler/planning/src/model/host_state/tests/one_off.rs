//! What another target, a person's force and what is done once leave of a state.

use deploy::RollbackReason;

use super::*;
use crate::testing::{quarantine, rolled_back};

const RECORDED: &str = include_str!("../recorded/0004.json");

/// A state of which every part is known.
fn recorded() -> HostState {
    serde_json::from_str(RECORDED).unwrap()
}

/// What is done once: another target, tried in vain, reached then, and held up by its window once more.
fn do_something_once(state: &mut HostState) {
    state.aim(&target('b'));
    state.note_observation(&observation("other", "other"), at(2_000));
    let progress = &mut state.progress;
    progress.wanted = Some(toplevel("other"));
    progress.conclude(&failed(), &backoff_config(), Jitter::NONE, at(2_001));
    progress.waits = Some("its window is closed".into());
    state.note_drift(Drift::InSync, at(2_002));
    state.convergence.last_good = Some(target('b'));
    state.note_drift(Drift::Drifted, at(2_003));
}

#[test]
fn what_is_done_once_leaves_no_trace_in_what_is_known_of_the_loops_own_goal() {
    let before = recorded();
    let mut state = before.clone();
    let aside = state.set_aside();
    do_something_once(&mut state);
    assert_ne!(state.progress, before.progress);
    assert_ne!(state.convergence, before.convergence);
    state.take_back(aside);
    assert_eq!(state.progress, before.progress);
    assert_eq!(state.convergence, before.convergence);
}

#[test]
fn what_was_learned_of_the_host_meanwhile_stays() {
    let mut state = recorded();
    let aside = state.set_aside();
    do_something_once(&mut state);
    state.traces.leftovers = Some("20270115t090000z-01234567".into());
    state.reboot = None;
    let learned = state.clone();
    state.take_back(aside);
    assert_eq!(state.presence, learned.presence);
    assert_eq!(state.facts, learned.facts);
    assert_eq!(state.traces, learned.traces);
    assert_eq!(state.reboot, None);
}

#[test]
fn that_another_system_stayed_for_once_lifts_no_quarantine() {
    let mut state = recorded();
    let before = state.quarantine.clone();
    let aside = state.set_aside();
    do_something_once(&mut state);
    assert_eq!(
        state.quarantine, None,
        "the host is in good hands meanwhile"
    );
    state.take_back(aside);
    assert_eq!(state.quarantine, before);
}

#[test]
fn a_quarantine_that_was_learned_meanwhile_stays() {
    for before in [None, Some(quarantine("new"))] {
        let mut state = HostState {
            quarantine: before,
            ..HostState::default()
        };
        let aside = state.set_aside();
        state.quarantine = Some(quarantine("other"));
        state.take_back(aside);
        assert_eq!(state.quarantine, Some(quarantine("other")));
    }
}

#[test]
fn another_commit_or_another_action_is_another_target_and_the_quarantine_is_the_systems() {
    let mut state = recorded();
    let mut boot = target('1');
    boot.action = deploy::Action::Boot;
    for another in [target('b'), boot] {
        state.aim(&another);
        let fresh = Progress {
            target: Some(another),
            outcome_at: recorded().progress.outcome_at,
            ..Progress::default()
        };
        assert_eq!(state.progress, fresh);
        assert_eq!(state.quarantine, recorded().quarantine);
        assert_eq!(state.convergence, recorded().convergence);
    }
    let mut same = recorded();
    same.aim(&target('1'));
    assert_eq!(same, recorded());
}

#[test]
fn force_or_another_config_forgives_the_system_and_forgets_nothing_of_the_host() {
    let mut state = recorded();
    let gave_up = rolled_back(RollbackReason::NotAcknowledged);
    let progress = &mut state.progress;
    progress.conclude(&gave_up, &backoff_config(), Jitter::NONE, at(1));
    assert_eq!(progress.settled(), Some(&gave_up));
    state.forgive();
    assert_eq!(state.progress.settled(), None);
    assert_eq!(state.progress.failures, 0);
    assert_eq!(state.progress.waits, None);
    assert_eq!(state.quarantine, None);
    let HostState { facts, traces, .. } = recorded();
    assert_eq!((state.facts, state.traces), (facts, traces));
    assert_eq!(state.reboot, recorded().reboot);
}

#[test]
fn only_when_it_was_seen_and_what_is_free_may_be_lost_by_a_crash() {
    let now = recorded();
    let parts: serde_json::Value = serde_json::from_str(RECORDED).unwrap();
    for name in parts.as_object().unwrap().keys() {
        let mut without = parts.clone();
        without.as_object_mut().unwrap().remove(name);
        let before: HostState = serde_json::from_value(without).unwrap();
        let may_be_lost = ["last_converged", "store_free"].contains(&name.as_str());
        assert_eq!(now.is_only_seen_later_than(&before), may_be_lost, "{name}");
    }
    let mut later = recorded();
    later.presence.last_seen = Some(at(4_000_000_000));
    assert!(
        later.is_only_seen_later_than(&now),
        "it was seen before too"
    );
}
