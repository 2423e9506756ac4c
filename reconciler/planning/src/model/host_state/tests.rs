//! What is remembered, a change each.

use std::time::Duration;

use deploy::{Observation, Outcome};
use jiff::Timestamp;
use proptest::prelude::*;

mod one_off;

use super::*;
use crate::model::backoff::{Jitter, backoff};
use crate::testing::{at, backoff_config, failed, observation, target, toplevel};

#[test]
fn backoff_doubles_from_ten_seconds_to_an_hour() {
    let seconds: Vec<u64> = (1..=11)
        .map(|failures| backoff(&backoff_config(), failures, Jitter::NONE).as_secs())
        .collect();
    assert_eq!(
        seconds,
        [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    );
}

proptest! {
    #[test]
    fn backoff_stays_within_its_jitter_and_under_its_maximum(failures in 1u32.., unit in -1.0f64..=1.0) {
        let plain = backoff(&backoff_config(), failures, Jitter::NONE).as_secs_f64();
        let spread = backoff(&backoff_config(), failures, Jitter::new(unit)).as_secs_f64();
        prop_assert!(spread <= 3600.0);
        prop_assert!(spread >= plain * 0.8 - 1e-6 && spread <= plain * 1.2 + 1e-6);
    }
}

#[test]
fn failures_in_a_row_push_the_next_attempt_further_away() {
    let now = Timestamp::UNIX_EPOCH;
    let mut state = HostState::default();
    state.aim(&target('a'));
    let mut waits = Vec::new();
    for _ in 0..3 {
        state
            .progress
            .conclude(&failed(), &backoff_config(), Jitter::NONE, now);
        waits.push(state.progress.next_attempt.unwrap().as_second());
    }
    assert_eq!(waits, [10, 20, 40]);
    assert_eq!(state.progress.failures, 3);
}

#[test]
fn a_new_target_starts_with_a_clean_slate_and_the_same_one_does_not() {
    let mut state = HostState::default();
    state.aim(&target('a'));
    state.progress.conclude(
        &failed(),
        &backoff_config(),
        Jitter::NONE,
        Timestamp::UNIX_EPOCH,
    );
    state.aim(&target('a'));
    assert_eq!(state.progress.failures, 1);
    state.aim(&target('b'));
    assert_eq!(
        (state.progress.failures, state.progress.next_attempt),
        (0, None)
    );
    assert_eq!(state.progress.outcome, None);
}

#[test]
fn drift_counts_from_the_first_time_it_was_seen() {
    let mut state = HostState::default();
    let first = at(100);
    state.note_drift(Drift::Drifted, first);
    state.note_drift(Drift::Drifted, at(200));
    assert_eq!(state.convergence.drifted_since, Some(first));
    state.note_drift(Drift::InSync, at(300));
    assert_eq!(state.convergence.drifted_since, None);
}

#[test]
fn a_host_found_in_sync_has_got_over_what_failed_before() {
    let mut state = HostState::default();
    state.aim(&target('a'));
    let needs_reboot = Outcome::RebootRequired {
        reasons: Vec::new(),
    };
    state.progress.conclude(
        &needs_reboot,
        &backoff_config(),
        Jitter::NONE,
        Timestamp::UNIX_EPOCH,
    );
    assert!(state.progress.settled().is_some());
    state.note_drift(Drift::InSync, Timestamp::UNIX_EPOCH);
    assert_eq!(
        (
            state.progress.settled(),
            state.progress.failures,
            state.progress.next_attempt
        ),
        (None, 0, None)
    );
}

#[test]
fn a_host_is_overdue_once_it_has_been_away_for_too_long_and_until_it_answers() {
    const DAY: i64 = 24 * 60 * 60;
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let mut state = HostState {
        presence: Presence {
            last_seen: Some(at(0)),
            ..Presence::default()
        },
        ..HostState::default()
    };
    let mut overdue_since = |now| {
        state.note_absence("connection refused", week, at(now));
        state.presence.overdue_since
    };
    assert_eq!(overdue_since(60), None);
    assert_eq!(overdue_since(7 * DAY - 1), None);
    assert_eq!(overdue_since(7 * DAY), Some(at(7 * DAY)));
    assert_eq!(overdue_since(9 * DAY), Some(at(7 * DAY)));
    state.note_observation(&observation("old", "old"), at(10 * DAY));
    assert_eq!(
        (state.presence.away_since, state.presence.overdue_since),
        (None, None)
    );
    state.note_absence("connection refused", week, at(10 * DAY + 60));
    assert_eq!(state.presence.away_since, Some(at(10 * DAY)));
    assert_eq!(state.presence.overdue_since, None);
}

#[test]
fn a_host_that_never_answered_is_away_since_it_was_first_asked() {
    let mut state = HostState::default();
    let hour = Duration::from_secs(3600);
    state.note_absence("connection refused", hour, at(100));
    state.note_absence("connection refused", hour, at(3699));
    assert_eq!(state.presence.overdue_since, None);
    state.note_absence("connection refused", hour, at(3700));
    assert_eq!(state.presence.overdue_since, Some(at(3700)));
    // Where a host is expected to be there, it is at once.
    let mut state = HostState::default();
    state.note_absence("connection refused", Duration::ZERO, at(100));
    assert_eq!(state.presence.overdue_since, Some(at(100)));
}

#[test]
fn a_document_of_another_version_can_be_read() {
    let state: HostState =
        serde_json::from_str(r#"{"failures": 2, "a_field_of_the_future": true}"#).unwrap();
    assert_eq!(state.progress.failures, 2);
}

/// Documents as programs of earlier schemas kept them, by schema; never changed.
const RECORDED: [&str; 2] = [
    include_str!("recorded/0004.json"),
    include_str!("recorded/0004-specialisation.json"),
];

#[test]
fn what_a_program_of_an_earlier_schema_remembered_is_read_whole() {
    for recorded in RECORDED {
        let state: HostState = serde_json::from_str(recorded).unwrap();
        let told: serde_json::Value = serde_json::from_str(recorded).unwrap();
        let known = serde_json::to_value(&state).unwrap();
        for (field, value) in told.as_object().unwrap() {
            assert_eq!(known.get(field), Some(value), "{field}");
        }
    }
}

#[test]
fn the_newest_recorded_document_has_every_field() {
    let newest = RECORDED.last().unwrap();
    let told: serde_json::Value = serde_json::from_str(newest).unwrap();
    let known = serde_json::to_value(HostState::default()).unwrap();
    for (field, empty) in known.as_object().unwrap() {
        assert!(
            told.get(field).is_some_and(|value| value != empty),
            "{field}: record a document of the present schema that has it"
        );
    }
}

#[test]
fn a_half_installed_system_is_remembered_until_it_has_booted_or_another_is_installed() {
    for (booted, profile, is_remembered) in [
        ("old", "new", true),
        ("new", "new", false),
        ("old", "old", false),
        ("old", "another", false),
    ] {
        let mut state = HostState {
            traces: Traces {
                half_installed: Some(toplevel("new")),
                ..Traces::default()
            },
            ..HostState::default()
        };
        let observation = Observation {
            booted: Some(toplevel(booted)),
            ..observation(booted, profile)
        };
        state.note_observation(&observation, Timestamp::UNIX_EPOCH);
        let remembered = state.traces.half_installed.is_some();
        assert_eq!(remembered, is_remembered, "{booted}, {profile}");
    }
}
