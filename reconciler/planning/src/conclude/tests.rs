//! What the end of an attempt leaves in its host's state.

use deploy::Transience;

mod notes;
mod outcome;
mod retry;

use super::*;
use crate::model::attempt::Work;
use crate::model::host_state::Traces;
use crate::testing::{
    BOOT, at, backoff_config, failed, goal, observation, quarantine, rolled_back, target, toplevel,
};

/// An attempt to bring the host to the system `new` of commit `a` that ended so.
fn attempt(outcome: Outcome) -> Attempt {
    Attempt::of_goal(&goal('a'), Some(toplevel("new")), at(0), outcome)
}

fn by(action: Action, outcome: Outcome) -> Attempt {
    let mut attempt = attempt(outcome);
    attempt.goal.target.action = action;
    attempt
}

/// An attempt after which the host was read back, and runs and would boot this system.
fn read_back(outcome: Outcome, system: &str) -> Attempt {
    Attempt {
        read_back: Some(observation(system, system)),
        ..attempt(outcome)
    }
}

/// Takes in that an attempt ended at that second.
fn take(state: &mut HostState, attempt: &Attempt, second: i64) -> Arrival {
    let terms = Terms {
        specialised: None,
        backoff: &backoff_config(),
        jitter: Jitter::NONE,
        overdue_after: Duration::from_secs(60),
        now: at(second),
    };
    conclude(state, attempt, &terms)
}

/// What an attempt leaves in a state of which nothing else is known.
fn after(attempt: &Attempt) -> HostState {
    let mut state = HostState::default();
    take(&mut state, attempt, 100);
    state
}

fn rollback_failed() -> Outcome {
    Outcome::RollbackFailed {
        step: "restore".into(),
        code: Some(1),
        reason: RollbackReason::NotAcknowledged,
        detail: String::new(),
    }
}

fn unreachable() -> Outcome {
    Outcome::Unreachable {
        detail: "timed out".into(),
    }
}

#[test]
fn how_an_attempt_ended_is_known_and_when() {
    let progress = after(&attempt(failed())).progress;
    assert_eq!(
        (progress.outcome, progress.outcome_at),
        (Some(failed()), Some(at(100)))
    );
}

#[test]
fn a_system_that_could_not_stay_is_quarantined_with_the_reason_and_the_time() {
    for outcome in [
        rolled_back(RollbackReason::NotAcknowledged),
        rollback_failed(),
    ] {
        let quarantine = Quarantine {
            toplevel: toplevel("new"),
            outcome: outcome.clone(),
            since: at(100),
        };
        assert_eq!(
            after(&read_back(outcome, "old")).quarantine,
            Some(quarantine)
        );
    }
}

#[test]
fn what_says_nothing_against_the_system_quarantines_none_and_lifts_no_quarantine() {
    let not_its_fault = rolled_back(RollbackReason::Unattended);
    for outcome in [failed(), not_its_fault, unreachable()] {
        let attempt = read_back(outcome, "old");
        assert_eq!(after(&attempt).quarantine, None, "{attempt:?}");
        let mut state = HostState {
            quarantine: Some(quarantine("new")),
            ..HostState::default()
        };
        take(&mut state, &attempt, 100);
        assert_eq!(state.quarantine, Some(quarantine("new")), "{attempt:?}");
    }
}

#[test]
fn a_system_that_stayed_lifts_the_quarantine() {
    let mut state = HostState {
        quarantine: Some(quarantine("other")),
        ..HostState::default()
    };
    take(&mut state, &read_back(Outcome::Converged, "new"), 100);
    assert_eq!(state.quarantine, None);
}

#[test]
fn an_activation_that_broke_off_may_have_left_a_profile_without_a_boot_entry() {
    for action in Action::ALL {
        let left = after(&by(action, failed())).traces.half_installed;
        let expected = action.sets_profile().then(|| toplevel("new"));
        assert_eq!(left, expected, "{action:?}");
    }
    let went_back = rolled_back(RollbackReason::NotAcknowledged);
    assert_eq!(after(&attempt(went_back)).traces.half_installed, None);
}

#[test]
fn a_half_installed_system_is_whole_once_a_profile_was_set_to_the_end() {
    for (action, is_whole) in [
        (Action::Switch, true),
        (Action::Boot, true),
        (Action::Test, false),
    ] {
        let mut state = after(&attempt(failed()));
        take(&mut state, &by(action, Outcome::Converged), 200);
        assert_eq!(
            state.traces.half_installed.is_none(),
            is_whole,
            "{action:?}"
        );
    }
}

#[test]
fn an_activation_that_broke_off_is_known_with_its_boot_until_one_ends_well() {
    let broke_off = Attempt {
        broke_off_on_boot: Some(BOOT.into()),
        ..read_back(failed(), "new")
    };
    let broken = Some((toplevel("new"), BOOT.to_owned()));
    for (action, outcome, is_mended) in [
        (Action::Switch, Outcome::Converged, true),
        (Action::Test, Outcome::Degraded { units: vec![] }, true),
        // It activates nothing.
        (Action::Boot, Outcome::Converged, false),
        (Action::Switch, unreachable(), false),
    ] {
        let mut state = after(&broke_off);
        assert_eq!(state.traces.broken_activation, broken);
        assert!(
            state.convergence.drifted_since.is_some(),
            "it runs, and is not there"
        );
        take(&mut state, &by(action, outcome), 200);
        let left = state.traces.broken_activation;
        assert_eq!(left.is_none(), is_mended, "{action:?}");
    }
}

#[test]
fn what_is_built_or_tried_out_is_known_to_be_done() {
    for (action, outcome) in [
        (Action::Build, Outcome::Built),
        (Action::DryActivate, Outcome::DryActivated),
    ] {
        let traces = Traces {
            done_once: Some((action, toplevel("new"))),
            ..Traces::default()
        };
        assert_eq!(after(&by(action, outcome)).traces, traces);
    }
    let broken = Outcome::BuildFailed {
        detail: String::new(),
        transience: Transience::Transient,
    };
    for (action, outcome) in [
        (Action::Build, broken),
        (Action::Switch, Outcome::Converged),
    ] {
        assert_eq!(after(&by(action, outcome)).traces.done_once, None);
    }
}

#[test]
fn only_a_deployment_whose_host_was_read_back_leaves_something_there_to_remove() {
    let id = Some("20270115t080500z-01234567".to_owned());
    let named = |attempt: Attempt| Attempt {
        id: id.clone(),
        ..attempt
    };
    let deployment = named(read_back(Outcome::Converged, "new"));
    assert_eq!(after(&deployment).traces.leftovers, id);
    let reboot = Attempt {
        work: Work::Reboot,
        ..read_back(Outcome::Rebooted, "new")
    };
    for attempt in [named(attempt(unreachable())), reboot, attempt(failed())] {
        assert_eq!(after(&attempt).traces.leftovers, None, "{attempt:?}");
        // What an earlier one left is still there.
        let mut state = after(&deployment);
        take(&mut state, &attempt, 200);
        assert_eq!(state.traces.leftovers, id, "{attempt:?}");
    }
}

#[test]
fn an_attempt_without_a_system_leaves_nothing_on_the_host() {
    let mut attempt = attempt(rollback_failed());
    attempt.toplevel = None;
    attempt.broke_off_on_boot = Some(BOOT.into());
    let state = after(&attempt);
    assert_eq!((state.traces, state.quarantine), (Traces::default(), None));
}

#[test]
fn a_host_that_could_not_be_reached_is_away_and_overdue_when_its_time_is_over() {
    let mut state = HostState::default();
    take(&mut state, &read_back(Outcome::Converged, "new"), 100);
    take(&mut state, &attempt(unreachable()), 159);
    let presence = &state.presence;
    assert_eq!(presence.unreachable.as_deref(), Some("timed out"));
    assert_eq!(
        (presence.away_since, presence.overdue_since),
        (Some(at(100)), None)
    );
    take(&mut state, &attempt(unreachable()), 160);
    assert_eq!(state.presence.overdue_since, Some(at(160)));
    // Whoever refuses us or a lock is there.
    take(&mut state, &read_back(failed(), "old"), 200);
    assert_eq!(state.presence.unreachable, None);
    assert_eq!(after(&attempt(failed())).presence.unreachable, None);
}

#[test]
fn what_the_host_says_afterwards_is_taken_in_and_says_whether_it_is_there() {
    let arrived = after(&read_back(Outcome::Converged, "new"));
    assert_eq!(arrived.facts.running, Some(toplevel("new")));
    assert_eq!(arrived.presence.last_seen, Some(at(100)));
    assert_eq!(arrived.convergence.last_good, Some(target('a')));
    assert_eq!(arrived.convergence.last_converged, Some(at(100)));
    let elsewhere = after(&read_back(failed(), "old"));
    assert_eq!(elsewhere.facts.running, Some(toplevel("old")));
    assert_eq!(elsewhere.convergence.drifted_since, Some(at(100)));
    assert_eq!(elsewhere.convergence.last_good, None);
}

#[test]
fn what_the_attempt_says_makes_no_target_good_that_the_host_is_not_at() {
    let mut state = after(&read_back(Outcome::Converged, "new"));
    let mut another = read_back(Outcome::Converged, "other");
    another.goal = goal('b');
    take(&mut state, &another, 200);
    assert_eq!(state.convergence.last_good, Some(target('a')));
    assert_eq!(state.convergence.drifted_since, Some(at(200)));
}

#[test]
fn what_changes_no_host_says_nothing_about_where_it_is() {
    let mut tried_out = read_back(Outcome::DryActivated, "old");
    tried_out.goal.target.action = Action::DryActivate;
    let state = after(&tried_out);
    assert_eq!(state.convergence.drifted_since, None);
    assert_eq!(state.convergence.last_good, None);
    assert_eq!(state.facts.running, Some(toplevel("old")));
}

#[test]
fn a_host_arrives_once_however_often_its_drift_is_undone() {
    let mut state = HostState::default();
    assert_eq!(
        take(&mut state, &read_back(failed(), "old"), 100),
        Arrival::No
    );
    let there = read_back(Outcome::Converged, "new");
    assert_eq!(take(&mut state, &there, 200), Arrival::First);
    state.note_drift(Drift::Drifted, at(300));
    assert_eq!(take(&mut state, &there, 400), Arrival::No);
    // Another commit is another place to arrive at, also with failed units.
    let mut next = read_back(Outcome::Degraded { units: vec![] }, "new");
    next.goal = goal('b');
    assert_eq!(take(&mut state, &next, 500), Arrival::First);
}
