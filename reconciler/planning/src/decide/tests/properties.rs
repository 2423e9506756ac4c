//! What holds whatever else is the case.

use deploy::{Outcome, Transience};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::model::host_state::Progress;
use crate::testing::{failed, quarantine};

/// Of a few systems, so that they are often the same.
fn any_system() -> impl Strategy<Value = &'static str> {
    select(&["old", "new", "another"])
}

fn any_observation() -> impl Strategy<Value = Result<Observation, &'static str>> {
    let seen = (any_system(), any_system(), any::<bool>()).prop_map(|(running, profile, lists)| {
        let mut observed = observation(running, profile);
        observed.unfinished_lists = lists;
        observed
    });
    prop_oneof![9 => seen.prop_map(Ok), 1 => Just(Err("connection refused"))]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let broken = Outcome::BuildFailed {
        detail: "builder failed".into(),
        transience: Transience::Permanent,
    };
    select(vec![Outcome::Converged, failed(), broken])
}

fn any_state() -> impl Strategy<Value = HostState> {
    let traces = (
        sometimes((select(&Action::ALL), any_system())),
        sometimes(any_system()),
        sometimes(any_system()),
    );
    let progress = (sometimes(any_outcome()), sometimes(-60i64..=60));
    let quarantine = prop::option::of(any_system().prop_map(quarantine));
    (traces, progress, quarantine).prop_map(
        |((done, broken, half), (outcome, seconds), quarantine)| HostState {
            traces: Traces {
                done_once: done.map(|(action, system)| (action, toplevel(system))),
                broken_activation: broken.map(|system| (toplevel(system), BOOT.into())),
                half_installed: half.map(toplevel),
                leftovers: None,
            },
            progress: Progress {
                outcome,
                next_attempt: seconds.map(|seconds| at(now().as_second() + seconds)),
                ..Progress::default()
            },
            quarantine,
            ..HostState::default()
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    let goal = (
        select(&Action::ALL),
        sometimes(Just(())),
        sometimes(Just(Distrust::Unsigned)),
    );
    let found = (any_observation(), any_state(), sometimes(Just("reboot")));
    let rules = (
        select(&[Policy::Enforce, Policy::Observe]),
        sometimes(Just("under repair")),
        sometimes(Just("a".parse().unwrap())),
        sometimes(prop::option::of(1i64..1_000)),
    );
    let trigger = select(&[Trigger::Scheduled, Trigger::Manual, Trigger::Forced]);
    (goal, found, rules, trigger).prop_map(|(goal, found, rules, trigger)| {
        let (action, is_unknown, distrust) = goal;
        let (observed, state, not_understood) = found;
        let (policy, suspended, braked_by, closed) = rules;
        Case {
            action,
            identity: Identity::MachineId,
            wanted: is_unknown.is_none().then(|| toplevel("new")),
            observed,
            state,
            not_understood,
            policy,
            distrust,
            suspended,
            braked_by: braked_by.into_iter().collect(),
            openness: match closed {
                None => Openness::Open,
                Some(opens) => Openness::Closed {
                    reason: "frozen".into(),
                    opens: opens.map(at),
                },
            },
            trigger,
        }
    })
}

/// Not so often that nothing is ever deployed.
fn sometimes<T: std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.2, strategy)
}

/// What holds of every case in which a system is deployed.
fn always_when_deployed(holds: impl Fn(&Case, &Toplevel) -> bool) {
    let config = ProptestConfig::with_cases(2_000);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&any_case(), |case| {
        if let Decision::Deploy { toplevel } = case.decision() {
            prop_assert!(holds(&case, &toplevel));
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn what_is_quarantined_is_never_put_on_its_host_without_force() {
    always_when_deployed(|case, toplevel| {
        let is_quarantined = case.state.quarantine_of(toplevel).is_some();
        case.trigger.is_forced() || !case.action.changes_host() || !is_quarantined
    });
}

#[test]
fn a_commit_that_is_not_trusted_is_never_deployed_at_all() {
    always_when_deployed(|case, _| case.distrust.is_none());
}

#[test]
fn a_suspended_host_is_never_deployed_to_without_force() {
    always_when_deployed(|case, _| case.trigger.is_forced() || case.suspended.is_none());
}

#[test]
fn a_host_is_never_changed_outside_of_its_windows_without_force() {
    always_when_deployed(|case, _| {
        let is_open = case.openness == Openness::Open;
        case.trigger.is_forced() || !case.action.changes_host() || is_open
    });
}

#[test]
fn a_host_whose_state_cannot_be_read_is_never_changed_without_force() {
    always_when_deployed(|case, _| {
        let is_understood = case.not_understood.is_none();
        case.trigger.is_forced() || !case.action.changes_host() || is_understood
    });
}

#[test]
fn nothing_is_ever_deployed_but_what_is_wanted() {
    always_when_deployed(|case, toplevel| case.wanted.as_ref() == Some(toplevel));
}
