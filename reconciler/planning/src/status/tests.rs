//! What is shown of a host, a case each.

use desired_state::{BranchState, CollectionResult};

use super::*;
use crate::model::goal::Target;
use crate::model::host_state::Convergence;
use crate::testing::{at, host, host_config, observation, revision, target, toplevel, wish};

/// A state of which every part is known; its last attempt was for commit `1`.
fn recorded() -> HostState {
    let recorded = include_str!("../model/host_state/recorded/0004.json");
    serde_json::from_str(recorded).unwrap()
}

/// What is shown of a host in this state, whose branch is at that commit, and of which no more is known.
fn shown(state: &HostState, tip: char) -> HostStatus {
    let wish = wish(Some(revision(tip)), BranchState::Present);
    host_status(&Known {
        host: &host(),
        config: &host_config(),
        state,
        wish: Some(&wish),
        pin: None,
        suspension: None,
        last_collection: None,
    })
}

#[test]
fn what_came_of_the_last_attempt_is_shown_while_its_commit_is_wanted() {
    let state = recorded();
    let progress = state.progress.clone();
    let status = shown(&state, '1');
    assert_eq!(status.desired_revision, Some(revision('1')));
    assert_eq!(status.desired_toplevel, progress.wanted);
    assert_eq!(status.drift, Some(DriftStatus::Drifted));
    assert_eq!(status.outcome, progress.outcome);
    assert_eq!(status.outcome_at, progress.outcome_at);
    assert_eq!(status.consecutive_failures, 2);
    assert_eq!(status.next_attempt, progress.next_attempt);
    assert_eq!(
        (status.waits, status.waits_until),
        (progress.waits, progress.waits_until)
    );
}

#[test]
fn what_is_remembered_of_another_target_is_not_shown_as_of_this_one() {
    let of_another_commit = shown(&recorded(), '2');
    let mut state = recorded();
    if let Some(target) = &mut state.progress.target {
        target.action = deploy::Action::Boot;
    }
    let of_another_action = shown(&state, '1');
    for status in [of_another_commit, of_another_action] {
        assert_eq!(status.desired_toplevel, None);
        assert_eq!(status.drift, None);
        assert_eq!((status.outcome, status.outcome_at), (None, None));
        assert_eq!(
            (status.consecutive_failures, status.next_attempt),
            (0, None)
        );
        assert_eq!((status.waits, status.waits_until), (None, None));
    }
}

#[test]
fn a_host_that_is_away_is_not_in_sync_with_a_system_that_it_was_not_seen_to_run() {
    let drift_of = |action, away: Option<&str>, wanted: &str| {
        let mut state = HostState::default();
        state.note_observation(&observation("old", "old"), at(0));
        state.convergence.last_good = Some(target('9'));
        let target = Target {
            action,
            ..target('1')
        };
        state.aim(&target);
        state.progress.wanted = Some(toplevel(wanted));
        state.presence.unreachable = away.map(Into::into);
        super::drift_status(&state, &state.progress)
    };
    let away = Some("timed out");
    let (in_sync, drifted) = (Some(DriftStatus::InSync), Some(DriftStatus::Drifted));
    assert_eq!(drift_of(Action::Switch, None, "old"), in_sync);
    assert_eq!(drift_of(Action::Switch, away, "new"), drifted);
    assert_eq!(drift_of(Action::Test, away, "new"), drifted);
    assert_eq!(drift_of(Action::Switch, away, "old"), None);
    assert_eq!(drift_of(Action::Boot, away, "new"), None);
    // Seen there before it went away.
    let mut state = HostState::default();
    state.note_observation(&observation("new", "new"), at(0));
    state.aim(&target('1'));
    state.progress.wanted = Some(toplevel("new"));
    state.convergence.last_good = Some(target('1'));
    state.presence.unreachable = away.map(Into::into);
    assert_eq!(super::drift_status(&state, &state.progress), in_sync);
}

#[test]
fn what_is_known_of_the_host_itself_is_shown_whatever_is_wanted() {
    let state = recorded();
    for tip in ['1', '2'] {
        let status = shown(&state, tip);
        assert_eq!(status.running_toplevel, state.facts.running);
        assert_eq!(status.failed_units, state.facts.failed_units);
        assert_eq!(status.reboot_required, state.facts.reboot_reasons);
        assert_eq!(status.store.free_bytes, state.facts.nix_store_free);
        assert_eq!(status.last_seen, state.presence.last_seen);
        assert_eq!(status.unreachable, state.presence.unreachable);
        assert_eq!(status.overdue_since, state.presence.overdue_since);
        assert_eq!(status.last_converged, state.convergence.last_converged);
        assert_eq!(status.drifted_since, state.convergence.drifted_since);
        assert_eq!(status.quarantine, state.quarantine);
        assert_eq!(status.reboot, state.reboot);
        assert_eq!(status.reboot_waits, state.reboot_blocked);
    }
}

#[test]
fn whether_a_host_differs_is_told_once_it_was_seen_and_what_is_wanted_is_evaluated() {
    let mut state = HostState::default();
    state.aim(&target('a'));
    assert_eq!(shown(&state, 'a').drift, None);
    state.progress.wanted = Some(toplevel("new"));
    assert_eq!(shown(&state, 'a').drift, None);
    state.note_observation(&observation("new", "new"), at(1));
    assert_eq!(shown(&state, 'a').drift, Some(DriftStatus::InSync));
    state.convergence = Convergence {
        drifted_since: Some(at(2)),
        ..Convergence::default()
    };
    assert_eq!(shown(&state, 'a').drift, Some(DriftStatus::Drifted));
}

#[test]
fn what_persons_have_said_is_shown_with_who_said_it() {
    let pin = Pin {
        host: host(),
        revision: revision('b'),
        action: "boot".into(),
        branch: Some("rescue".parse().unwrap()),
        by: "ada".into(),
        since: at(1),
    };
    let suspension = Suspension {
        host: host(),
        why: "new disk".into(),
        by: "ada".into(),
        since: at(2),
    };
    let collection = Collection {
        began_at: at(3),
        ended_at: at(4),
        result: CollectionResult::Done,
        freed: 7,
        detail: String::new(),
    };
    let gone = wish(Some(revision('a')), BranchState::Gone);
    let status = host_status(&Known {
        host: &host(),
        config: &host_config(),
        state: &HostState::default(),
        wish: Some(&gone),
        pin: Some(&pin),
        suspension: Some(&suspension),
        last_collection: Some(&collection),
    });
    assert_eq!(status.desired_revision, Some(revision('b')));
    assert_eq!(status.action, deploy::Action::Boot);
    assert_eq!(status.pinned_by, Some(pin.by));
    assert_eq!(status.pinned_branch, pin.branch);
    assert_eq!(status.suspended, Some(suspension.why));
    assert_eq!(status.branch_state, Some(BranchState::Gone));
    assert_eq!(status.store.last_collection, Some(collection));
}

#[test]
fn a_host_of_which_nothing_is_known_yet_is_shown_with_its_config() {
    let config = host_config();
    let status = host_status(&Known {
        host: &host(),
        config: &config,
        state: &HostState::default(),
        wish: None,
        pin: None,
        suspension: None,
        last_collection: None,
    });
    assert_eq!(status.host, host());
    assert_eq!(
        (status.repository, status.branch),
        (config.follows.repository, config.follows.branch)
    );
    assert_eq!(
        (status.action, status.policy),
        (config.action, "enforce".into())
    );
    assert_eq!((status.desired_revision, status.branch_state), (None, None));
}
