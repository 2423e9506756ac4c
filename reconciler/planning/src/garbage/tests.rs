//! Days and months of garbage collection, told in moments.

use super::*;
use crate::model::decision::Why;

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
const GIB: u64 = 1 << 30;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn care(every: Option<i64>, below: u64) -> CareConfig {
    CareConfig {
        collect_every: every.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
        collect_when_free_below: below,
        keep_for: Duration::from_secs(30 * DAY.unsigned_abs()),
        keep_proven: 2,
        timeout: Duration::from_secs(60),
    }
}

fn ended(seconds: i64, result: CollectionResult) -> Collection {
    Collection {
        began_at: at(seconds - 60),
        ended_at: at(seconds),
        result,
        freed: 0,
        detail: String::new(),
    }
}

fn done(seconds: i64) -> Collection {
    ended(seconds, CollectionResult::Done)
}

/// When garbage is collected in the first days, reconciled every ten minutes, where so much is free at a time.
fn collections(care: &CareConfig, hours: i64, free: impl Fn(i64) -> u64) -> Vec<i64> {
    let mut last: Option<Collection> = None;
    let mut times = Vec::new();
    for minutes in (0..hours * 60).step_by(10) {
        let now = minutes * 60;
        if due(care, last.as_ref(), Some(free(minutes / 60)), at(now)).is_some() {
            times.push(minutes / 60);
            last = Some(done(now));
        }
    }
    times
}

#[test]
fn nothing_is_ever_collected_where_nobody_says_so() {
    let care = CareConfig::built_in();
    assert!(!care.is_on());
    assert!(collections(&care, 24 * 400, |_| 0).is_empty());
}

#[test]
fn garbage_is_collected_at_first_and_then_once_a_period() {
    let daily = care(Some(DAY), 0);
    assert_eq!(collections(&daily, 24 * 4, |_| 0), [0, 24, 48, 72]);
    // A restart changes nothing: the last time is in the state.
    assert_eq!(due(&daily, Some(&done(0)), None, at(DAY - 1)), None);
    assert_eq!(
        due(&daily, Some(&done(0)), None, at(DAY)),
        Some(Cause::Period)
    );
}

#[test]
fn too_little_free_space_does_not_wait_for_the_period_and_does_not_hammer() {
    let rule = care(Some(7 * DAY), 5 * GIB);
    let free = |hour| {
        if (30..33).contains(&hour) {
            GIB
        } else {
            50 * GIB
        }
    };
    assert_eq!(collections(&rule, 24 * 8, free), [0, 30, 31, 32]);
    assert_eq!(
        due(&care(None, 5 * GIB), None, Some(GIB), at(0)),
        Some(Cause::Space {
            free: GIB,
            below: 5 * GIB
        })
    );
    assert_eq!(due(&care(None, 5 * GIB), None, Some(5 * GIB), at(0)), None);
    assert_eq!(due(&care(None, 5 * GIB), None, None, at(0)), None);
}

#[test]
fn what_failed_is_tried_again_after_an_hour_and_not_before() {
    let weekly = care(Some(7 * DAY), 0);
    let failed = ended(0, CollectionResult::Failed);
    assert_eq!(due(&weekly, Some(&failed), None, at(HOUR - 1)), None);
    assert_eq!(
        due(&weekly, Some(&failed), None, at(HOUR)),
        Some(Cause::Period)
    );
}

#[test]
fn a_time_that_a_wrong_clock_told_does_not_put_it_off_for_ever() {
    let last = done(10_000 * DAY);
    assert_eq!(
        due(&care(Some(DAY), 0), Some(&last), None, at(0)),
        Some(Cause::Period)
    );
}

#[test]
fn a_host_collects_only_while_it_is_where_it_should_be_and_may_be_changed() {
    let rule = care(Some(DAY), 0);
    let up_to_date = Decision::UpToDate;
    let waits = Decision::Wait {
        why: Why::Suspended {
            reason: "a new disk".into(),
        },
    };
    let closed = Openness::Closed {
        reason: "outside of its window".into(),
        opens: None,
    };
    let good = HostSituation {
        care: &rule,
        policy: Policy::Enforce,
        action: Action::Switch,
        decision: &up_to_date,
        is_busy: IsBusy::No,
        suspended: None,
        openness: &Openness::Open,
        last: None,
        free: None,
    };
    assert_eq!(due_on_host(&good, at(0)), Some(Cause::Period));
    for other in [
        HostSituation {
            policy: Policy::Observe,
            ..good
        },
        HostSituation {
            action: Action::Test,
            ..good
        },
        HostSituation {
            decision: &waits,
            ..good
        },
        HostSituation {
            is_busy: IsBusy::Yes,
            ..good
        },
        HostSituation {
            suspended: Some("a new disk"),
            ..good
        },
        HostSituation {
            openness: &closed,
            ..good
        },
        HostSituation {
            last: Some(&done(-HOUR)),
            ..good
        },
    ] {
        assert_eq!(due_on_host(&other, at(0)), None, "{other:?}");
    }
}

fn system(digit: char) -> Toplevel {
    let hash = digit.to_string().repeat(32);
    format!("/nix/store/{hash}-nixos-system-x").parse().unwrap()
}

/// Builds of hosts: the host, a digit for the commit and the system, and the age in days.
fn builds(builds: &[(&str, char, i64)]) -> Vec<BuildRoot> {
    builds
        .iter()
        .map(|(host, digit, days)| {
            let revision = digit.to_string();
            BuildRoot {
                path: ["/roots", host, &revision].iter().collect(),
                host: (*host).to_owned(),
                revision,
                toplevel: Some(system(*digit)),
                built_at: at(-days * DAY).into(),
            }
        })
        .collect()
}

fn stale_of(roots: &[BuildRoot], newest: usize, kept: &[(&str, &str)]) -> String {
    let kept = kept.iter().map(|(host, systems)| {
        let kept = Kept {
            systems: systems.chars().map(system).collect(),
            revisions: BTreeSet::new(),
        };
        ((*host).to_owned(), kept)
    });
    let rule = BuildRule {
        newest,
        keep_for: Duration::from_secs(30 * DAY.unsigned_abs()),
        kept: kept.collect(),
    };
    stale(roots, &rule, at(0))
        .into_iter()
        .map(|root| root.revision.as_str())
        .collect()
}

#[test]
fn builds_go_by_number_and_by_age_but_never_what_has_proven_itself() {
    let roots = builds(&[
        ("a", '1', 0),
        ("a", '2', 1),
        ("a", '3', 29),
        ("a", '4', 31),
        ("a", '5', 99),
    ]);
    assert_eq!(stale_of(&roots, 9, &[("a", "")]), "45");
    assert_eq!(stale_of(&roots, 2, &[("a", "")]), "345");
    assert_eq!(stale_of(&roots, 1, &[("a", "25")]), "34");
    // Five builds that could not stay do not push out what runs.
    assert_eq!(stale_of(&roots, 1, &[("a", "12345")]), "");
}

#[test]
fn the_newest_build_of_a_host_stays_however_old_and_none_of_a_host_that_left_the_fleet() {
    let roots = builds(&[
        ("a", '1', 400),
        ("gone", '2', 400),
        ("gone", '3', 1),
        ("b", '4', 400),
    ]);
    assert_eq!(stale_of(&roots, 5, &[("a", ""), ("b", "")]), "2");
}

#[test]
fn the_build_of_the_commit_that_is_wanted_stays_also_before_it_is_evaluated_again() {
    let roots = builds(&[("a", '1', 1), ("a", '2', 99)]);
    let rule = BuildRule {
        newest: 1,
        keep_for: Duration::from_secs(DAY.unsigned_abs()),
        kept: BTreeMap::from([(
            "a".to_owned(),
            Kept {
                systems: BTreeSet::new(),
                revisions: BTreeSet::from(["2".to_owned()]),
            },
        )]),
    };
    assert_eq!(stale(&roots, &rule, at(0)), Vec::<&BuildRoot>::new());
}
