//! When the next attempt follows, by how the last ones ended.

use super::*;

/// How many failures are counted after three attempts that ended so, a minute apart, and how many seconds after each the
/// next may follow.
fn after_three(outcome: &Outcome) -> (u32, [Option<i64>; 3]) {
    let mut state = HostState::default();
    state.aim(&target('a'));
    let waits = [0, 60, 120].map(|second| {
        take(&mut state, &attempt(outcome.clone()), second);
        let next = state.progress.next_attempt;
        next.map(|next| next.as_second() - second)
    });
    (state.progress.failures, waits)
}

fn check(outcomes: &[Outcome], expected: (u32, [Option<i64>; 3])) {
    for outcome in outcomes {
        assert_eq!(after_three(outcome), expected, "{outcome:?}");
    }
}

fn build_failed(transience: Transience) -> Outcome {
    Outcome::BuildFailed {
        detail: String::new(),
        transience,
    }
}

#[test]
fn a_system_that_its_own_checks_refuse_is_not_tried_again() {
    check(&[Outcome::unswitchable("x")], (3, [None; 3]));
}

#[test]
fn each_failure_in_a_row_doubles_the_backoff() {
    let detail = String::new;
    let failures = [
        failed(),
        Outcome::ActivationRefused {
            detail: detail(),
            transience: Transience::Transient,
        },
        Outcome::ActivationInterrupted { cause: detail() },
        Outcome::AccessRefused { detail: detail() },
        build_failed(Transience::Transient),
    ];
    check(&failures, (3, [Some(10), Some(20), Some(40)]));
}

#[test]
fn what_is_not_the_systems_fault_waits_and_grows_no_backoff() {
    let unattended = rolled_back(RollbackReason::Unattended);
    let locked = Outcome::Locked { by: "pid 7".into() };
    check(&[unreachable(), locked, unattended], (0, [Some(10); 3]));
}

#[test]
fn a_host_that_was_away_has_as_many_failures_behind_it_as_before() {
    let mut state = HostState::default();
    for (outcome, second) in [(failed(), 0), (failed(), 60), (unreachable(), 120)] {
        take(&mut state, &attempt(outcome), second);
    }
    assert_eq!(state.progress.failures, 2);
    assert_eq!(state.progress.next_attempt, Some(at(140)));
}

#[test]
fn what_was_overtaken_is_tried_again_soon() {
    let text = String::new;
    let overtaken = [
        Outcome::Superseded,
        Outcome::ObservedChanged { running: text() },
        Outcome::ChangedMeanwhile { what: text() },
        Outcome::Vanished { detail: text() },
    ];
    check(&overtaken, (0, [Some(15); 3]));
}

#[test]
fn what_trying_again_does_not_mend_is_counted_and_not_tried_again() {
    let given_up = [
        rolled_back(RollbackReason::NotAcknowledged),
        rollback_failed(),
        build_failed(Transience::Permanent),
        Outcome::RebootRequired { reasons: vec![] },
        Outcome::DidNotReboot {
            detail: String::new(),
        },
    ];
    check(&given_up, (3, [None; 3]));
    for outcome in given_up {
        let state = after(&attempt(outcome.clone()));
        assert_eq!(state.progress.settled(), Some(&outcome));
    }
}

#[test]
fn what_is_done_or_was_called_off_leaves_no_failures_behind() {
    for outcome in [
        Outcome::Converged,
        Outcome::Degraded { units: vec![] },
        Outcome::Rebooted,
        Outcome::Built,
        Outcome::DryActivated,
        Outcome::Cancelled { by: "ada".into() },
    ] {
        let mut state = after(&attempt(failed()));
        take(&mut state, &attempt(outcome.clone()), 200);
        let progress = &state.progress;
        assert_eq!(
            (progress.failures, progress.next_attempt),
            (0, None),
            "{outcome:?}"
        );
        assert_eq!(progress.settled(), None, "{outcome:?}");
    }
}

#[test]
fn a_way_back_that_fails_too_is_none_any_more_and_what_is_wanted_stays_in_quarantine() {
    let mut state = HostState {
        quarantine: Some(quarantine("newer")),
        ..HostState::default()
    };
    state.convergence.last_good = Some(target('a'));
    let aside = state.set_aside();
    let mut way_back = attempt(rolled_back(RollbackReason::NotAcknowledged));
    way_back.goal.cause = Cause::Quarantine;
    take(&mut state, &way_back, 100);
    state.take_back(aside);
    assert_eq!(state.quarantine, Some(quarantine("newer")));
    assert_eq!(state.convergence.last_good, None);
}
