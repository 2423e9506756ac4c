use super::*;
use crate::host::activate::{ActivationReport, ActivationVerdict};

fn report(verdict: ActivationVerdict) -> ActivationReport {
    ActivationReport {
        verdict,
        steps: Vec::new(),
        exit_code: None,
        failed_units: vec!["a.service".to_owned()],
        output_tail: "last words".to_owned(),
        boot_id: String::new(),
    }
}

fn text() -> String {
    "x".to_owned()
}

/// One of each.
fn all() -> Vec<Outcome> {
    let mut all = of_hosts();
    all.extend(of_activations());
    all.extend(of_steps_before());
    all
}

fn of_hosts() -> Vec<Outcome> {
    vec![
        Outcome::Converged,
        Outcome::Degraded { units: Vec::new() },
        Outcome::Built,
        Outcome::DryActivated,
        Outcome::RebootRequired {
            reasons: Vec::new(),
        },
        Outcome::Rebooted,
        Outcome::BootedAnother {
            booted: text(),
            wanted: text(),
        },
        Outcome::DidNotComeBack {
            entry: BootEntry {
                generation: Some(1),
                toplevel: None,
            },
            detail: text(),
        },
        Outcome::DidNotReboot { detail: text() },
        Outcome::Locked { by: text() },
        Outcome::ObservedChanged { running: text() },
        Outcome::Vanished { detail: text() },
    ]
}

fn of_activations() -> Vec<Outcome> {
    vec![
        Outcome::ActivationRefused {
            detail: text(),
            transience: Transience::Transient,
        },
        Outcome::unswitchable("why"),
        Outcome::WrongPlatform {
            system: text(),
            host: text(),
        },
        Outcome::NoSpace {
            place: text(),
            needed: 3,
            free: 2,
            reserve: 1,
        },
        Outcome::RolledBack {
            reason: RollbackReason::NotAcknowledged,
            detail: text(),
        },
        Outcome::RolledBack {
            reason: RollbackReason::Unattended,
            detail: text(),
        },
        Outcome::RollbackFailed {
            step: text(),
            code: Some(1),
            reason: RollbackReason::Probe { name: text() },
            detail: text(),
        },
        Outcome::ChangedMeanwhile { what: text() },
        Outcome::ActivationFailed {
            step: text(),
            code: Some(2),
            detail: text(),
        },
        Outcome::ActivationInterrupted { cause: text() },
    ]
}

fn of_steps_before() -> Vec<Outcome> {
    let mut all = vec![
        Outcome::Unreachable { detail: text() },
        Outcome::AccessRefused { detail: text() },
        Outcome::TimedOut { phase: text() },
        Outcome::Superseded,
        Outcome::Cancelled { by: text() },
    ];
    for worth_it in [true, false] {
        let transience = Transience::when_retrying_is(worth_it);
        let detail = text();
        all.extend([
            Outcome::EvaluationFailed {
                detail: detail.clone(),
                transience,
            },
            Outcome::BuildFailed {
                detail: detail.clone(),
                transience,
            },
            Outcome::CopyFailed { detail, transience },
        ]);
    }
    all
}

#[test]
fn the_name_in_json_is_the_label_and_it_is_read_back() {
    for outcome in all() {
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(json["outcome"], outcome.label());
        assert_eq!(serde_json::from_value::<Outcome>(json).unwrap(), outcome);
    }
}

#[test]
fn the_table_in_the_documentation_names_every_outcome() {
    let table = include_str!("../outcome.rs");
    for outcome in all() {
        assert!(
            table.contains(&format!("`{}`", outcome.label())),
            "{} is missing",
            outcome.label()
        );
    }
}

#[test]
fn what_is_in_sync_is_a_success_and_what_is_a_success_is_no_failure() {
    for outcome in all() {
        assert!(!outcome.is_in_sync() || outcome.is_success(), "{outcome:?}");
        assert!(
            !outcome.is_success() || !outcome.is_failure(),
            "{outcome:?}"
        );
        assert!(
            !outcome.is_success() || outcome.retry() == Retry::Never,
            "{outcome:?}"
        );
    }
}

#[test]
fn a_host_that_is_away_is_tried_again_but_has_not_failed() {
    let away = Outcome::Unreachable {
        detail: String::new(),
    };
    assert!(!away.is_failure() && !away.is_success());
    assert_eq!(away.retry(), Retry::Backoff);
}

#[test]
fn what_cannot_succeed_is_not_tried_again() {
    for outcome in all() {
        let expected = match &outcome {
            Outcome::ActivationRefused { transience, .. }
            | Outcome::EvaluationFailed { transience, .. }
            | Outcome::BuildFailed { transience, .. }
            | Outcome::CopyFailed { transience, .. } => {
                if *transience == Transience::Transient {
                    Retry::Backoff
                } else {
                    Retry::Never
                }
            }
            Outcome::RebootRequired { .. }
            | Outcome::WrongPlatform { .. }
            | Outcome::BootedAnother { .. }
            | Outcome::DidNotComeBack { .. }
            | Outcome::DidNotReboot { .. } => Retry::Never,
            Outcome::NoSpace { .. } => Retry::Backoff,
            Outcome::Superseded => Retry::Soon,
            _ => continue,
        };
        assert_eq!(outcome.retry(), expected, "{outcome:?}");
    }
}

#[test]
fn what_the_new_systems_own_checks_refuse_is_settled_and_any_other_refusal_is_tried_again() {
    let refused = |output: &str| {
        let mut report = report(ActivationVerdict::Refused {
            reason: String::new(),
        });
        report.output_tail = output.to_owned();
        Outcome::of_activation(&report).unwrap()
    };
    let checked = refused(
        "confirm the host name\nPre-switch check 'name' failed\nPre-switch checks failed\n",
    );
    assert_eq!(checked.retry(), Retry::Never);
    assert!(checked.is_failure() && checked.to_string().contains("confirm the host name"));
    assert_eq!(
        refused("Failed to open dbus connection").retry(),
        Retry::Backoff
    );
    let off = Outcome::of_activation(&report(ActivationVerdict::Unswitchable {
        why: "system.switch.enable is off for this host".to_owned(),
    }));
    let off = off.unwrap();
    assert_eq!(off.retry(), Retry::Never);
    let said = "this system cannot be switched to: system.switch.enable is off for this host";
    assert!(off.to_string().contains(said), "{off}");
}

#[test]
fn a_refusal_that_an_earlier_version_wrote_down_is_tried_again() {
    let stored = r#"{"outcome":"activation_refused","detail":"x"}"#;
    let outcome: Outcome = serde_json::from_str(stored).unwrap();
    assert_eq!(outcome.retry(), Retry::Backoff);
}

#[test]
fn a_report_becomes_the_outcome_that_it_stands_for() {
    let of = |verdict| Outcome::of_activation(&report(verdict));
    assert_eq!(of(ActivationVerdict::Done), Some(Outcome::Converged));
    assert_eq!(
        of(ActivationVerdict::Degraded),
        Some(Outcome::Degraded {
            units: vec!["a.service".to_owned()]
        })
    );
    assert_eq!(of(ActivationVerdict::StillRunning), None);
    let refused = |reason: &str| {
        of(ActivationVerdict::Refused {
            reason: reason.to_owned(),
        })
    };
    assert_eq!(
        refused(""),
        Some(Outcome::ActivationRefused {
            detail: "last words".to_owned(),
            transience: Transience::Transient,
        })
    );
    assert_eq!(
        refused("not whole"),
        Some(Outcome::ActivationRefused {
            detail: "not whole\nlast words".to_owned(),
            transience: Transience::Transient,
        })
    );
    assert_eq!(
        of(ActivationVerdict::Failed {
            step: "test".to_owned(),
            code: Some(2)
        }),
        Some(Outcome::ActivationFailed {
            step: "test".to_owned(),
            code: Some(2),
            detail: "last words".to_owned()
        })
    );
    assert_eq!(
        of(ActivationVerdict::RebootRequired { why: "x".into() }).map(|outcome| outcome.label()),
        Some("reboot_required")
    );
    let rolled_back = of(ActivationVerdict::RolledBack {
        reason: RollbackReason::NotAcknowledged,
    });
    assert!(rolled_back.is_some_and(|outcome| outcome.quarantines() && !outcome.is_success()));
    assert_eq!(of(ActivationVerdict::Awaiting), None);
}
