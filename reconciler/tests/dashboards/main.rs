//! What people look at, dashboard, alerts and documentation, holds what the code exports: nothing else, and all of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests; clippy only excepts the tests themselves"
)]

mod dashboard;
mod exported;
mod files;
mod promql;
mod shape;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::exported::{Exported, FROM_PROMETHEUS, exported};
use crate::files::{Query, alerts, proofs};
use crate::promql::{Named, named};

/// What no panel and no alert shows, each with its reason.
const UNUSED: [(&str, &str); 0] = [];

/// Every query, with what it names. Parsing them takes most of the time, so it is done once for all tests.
fn queries() -> &'static [(Query, Named)] {
    static QUERIES: OnceLock<Vec<(Query, Named)>> = OnceLock::new();
    QUERIES.get_or_init(|| {
        let of_alerts = alerts().into_iter().map(|alert| Query {
            place: format!("the alert {}", alert.alert),
            expression: alert.expr,
            shown: alert.annotations.into_values().collect(),
        });
        let all = dashboard::queries().into_iter().chain(of_alerts);
        all.map(|query| match named(&query.expression) {
            Ok(named) => (query, named),
            Err(error) => panic!(
                "{} is no PromQL: {error}\n{}",
                query.place, query.expression
            ),
        })
        .collect()
    })
}

/// What a query names that is not exported, a line each.
fn complaints(query: &Query, named: &Named, exported: &Exported) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut known: BTreeSet<&str> = FROM_PROMETHEUS.into();
    for selector in &named.selectors {
        let Some(labels) = exported.labels_of(&selector.metric) else {
            wrong.push(format!(
                "{} names the metric {}, which is not exported",
                query.place, selector.metric
            ));
            continue;
        };
        for label in selector.labels() {
            if !labels.contains(label) && !FROM_PROMETHEUS.contains(&label) {
                wrong.push(format!(
                    "{} names the label {label}, which {} does not have",
                    query.place, selector.metric
                ));
            }
        }
        known.extend(labels);
    }
    let shown = query.shown.iter().flat_map(|text| files::labels(text));
    for label in named.labels.iter().cloned().chain(shown) {
        if !known.contains(label.as_str()) {
            wrong.push(format!(
                "{} names the label {label}, which none of its metrics has",
                query.place
            ));
        }
    }
    wrong
}

#[test]
fn every_query_names_only_metrics_and_labels_that_are_exported() {
    let exported = exported();
    let wrong: Vec<String> = queries()
        .iter()
        .flat_map(|(query, named)| complaints(query, named, &exported))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_query_that_names_what_is_not_exported_is_complained_of() {
    let exported = exported();
    for (expression, shown, complaint) in [
        ("reconcile_host_drifting > 0", "", "reconcile_host_drifting"),
        (
            "reconcile_host_drifted{hots=\"spare\"}",
            "",
            "hots, which reconcile_host_drifted",
        ),
        ("sum by (hots) (reconcile_host_drifted)", "", "hots"),
        ("reconcile_host_drifted", "{{ $labels.hots }}", "hots"),
    ] {
        let query = Query {
            place: "a panel".to_owned(),
            expression: expression.to_owned(),
            shown: vec![shown.to_owned()],
        };
        let named = named(expression).unwrap();
        let wrong = complaints(&query, &named, &exported);
        assert_eq!(wrong.len(), 1, "{expression}: {wrong:?}");
        assert!(wrong[0].contains(complaint), "{expression}: {wrong:?}");
    }
}

#[test]
fn every_selector_asks_for_values_of_labels_that_there_are() {
    let exported = exported();
    for (query, named) in queries() {
        for selector in &named.selectors {
            assert!(
                exported
                    .series(&selector.metric)
                    .any(|series| selector.matches(series)),
                "{} asks for {selector:?}, and no series is ever so",
                query.place
            );
        }
    }
}

#[test]
fn every_metric_of_ours_is_shown_by_a_panel_or_watched_by_an_alert() {
    let exported = exported();
    let used: BTreeSet<String> = queries()
        .iter()
        .flat_map(|(_, named)| &named.selectors)
        .filter_map(|selector| {
            exported
                .family(&selector.metric)
                .map(|one| one.name.clone())
        })
        .collect();
    for family in exported.ours() {
        let is_unused = UNUSED.iter().any(|(name, _)| *name == family.name);
        assert!(
            used.contains(&family.name) != is_unused,
            "{} is {}",
            family.name,
            if is_unused {
                "used, and listed as unused"
            } else {
                "in no query: show it, or say in UNUSED why not"
            }
        );
    }
}

#[test]
fn these_tests_see_every_metric_that_the_code_names() {
    let exported = exported();
    for (file, text) in files::sources() {
        for name in text.split('"').filter(|part| files::is_metric(part)) {
            assert!(
                exported.family(name).is_some(),
                "{file} names {name}: make `exported` bring it about"
            );
        }
    }
}

#[test]
fn the_documentation_has_a_row_for_every_metric_and_no_other() {
    let table = exported().table();
    let text = files::documentation();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let wanted: Vec<&str> = table.lines().collect();
    assert_eq!(rows, wanted, "docs/metrics.md has to hold\n{table}");
}

#[test]
fn every_alert_is_said_in_words_and_told_how_to_mend() {
    let alerts = alerts();
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.alert.as_str()).collect();
    assert_eq!(names.len(), alerts.len(), "two alerts have one name");
    for alert in &alerts {
        let said: Vec<&str> = alert.annotations.keys().map(String::as_str).collect();
        assert_eq!(
            said,
            ["description", "runbook", "summary"],
            "{}",
            alert.alert
        );
        assert!(
            alert.annotations.values().all(|text| text.len() > 15),
            "{alert:?}"
        );
        let severity = alert.labels.get("severity").map(String::as_str);
        assert!(
            matches!(severity, Some("info" | "warning" | "critical")),
            "{alert:?}"
        );
    }
}

#[test]
fn every_alert_is_proven_to_fire_and_to_resolve() {
    let proofs = proofs();
    for alert in alerts() {
        let looks: Vec<(bool, u64)> = proofs
            .iter()
            .flat_map(|proof| &proof.promql_expr_test)
            .filter(|look| look.alert() == alert.alert)
            .map(|look| {
                (
                    !look.exp_samples.is_empty(),
                    files::minutes(&look.eval_time),
                )
            })
            .collect();
        let fires = looks.iter().filter(|(fires, _)| *fires).map(|(_, at)| *at);
        let Some(first) = fires.min() else {
            panic!("no proof that {} fires", alert.alert)
        };
        assert!(
            looks.iter().any(|(fires, at)| !fires && *at > first),
            "no proof that {} resolves",
            alert.alert
        );
    }
    for look in proofs.iter().flat_map(|proof| &proof.promql_expr_test) {
        assert!(
            alerts().iter().any(|alert| alert.alert == look.alert()),
            "a proof of {}, which is no alert",
            look.alert()
        );
    }
}

#[test]
fn the_metrics_are_what_prometheus_can_read() {
    let Exported { families } = exported();
    assert!(families.len() > 30);
    for family in &families {
        assert!(
            !family.help.is_empty() && !family.kind.is_empty(),
            "{family:?}"
        );
        let is_total = family.name.ends_with("_total");
        assert_eq!(family.kind == "counter", is_total, "{family:?}");
    }
}
