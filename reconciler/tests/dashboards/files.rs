//! The files that are held to what is exported.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A query, and where it stands.
#[derive(Debug)]
pub struct Query {
    /// For a person who looks for it.
    pub place: String,
    /// With its variables filled in.
    pub expression: String,
    /// Texts with labels of its result: legends, annotations.
    pub shown: Vec<String>,
}

/// A rule of the rule file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    pub alert: String,
    pub expr: String,
    #[serde(default, rename = "for")]
    _pending: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// A test of `promtool test rules`.
#[derive(Debug, Deserialize)]
pub struct Proof {
    pub promql_expr_test: Vec<Look>,
}

/// What fires at a time.
#[derive(Debug, Deserialize)]
pub struct Look {
    expr: String,
    pub eval_time: String,
    pub exp_samples: Vec<serde_json::Value>,
}

impl Look {
    /// Which alert is looked for.
    pub fn alert(&self) -> &str {
        let (_, rest) = self.expr.split_once("alertname=\"").unwrap();
        rest.split_once('"').unwrap().0
    }
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Alert>,
}

#[derive(Deserialize)]
struct Proofs {
    tests: Vec<Proof>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every alert of `alerts.yaml`.
pub fn alerts() -> Vec<Alert> {
    let rules: Rules = serde_saphyr::from_str(&text("charts/reconcile/files/alerts.yaml")).unwrap();
    rules
        .groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect()
}

/// What `promtool` is given to prove them.
pub fn proofs() -> Vec<Proof> {
    let files = ["alerts.test.yaml", "alerts-of-days.test.yaml"];
    let of_file = |file| {
        let text = text(&format!("xtask/tests/it/ship/dashboards/{file}"));
        serde_saphyr::from_str::<Proofs>(&text).unwrap().tests
    };
    files.into_iter().flat_map(of_file).collect()
}

/// `docs/metrics.md`.
pub fn documentation() -> String {
    text("docs/metrics.md")
}

/// The dashboard's text.
pub fn dashboard_text() -> String {
    text("charts/reconcile/files/dashboard.json")
}

/// The code that makes metrics, with its files' names.
pub fn sources() -> Vec<(String, String)> {
    let mut files = vec!["reconciler/src/telemetry/metrics.rs".to_owned()];
    for entry in fs::read_dir(root().join("reconciler/src/telemetry/metrics")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != "tests.rs" {
            files.push(format!("reconciler/src/telemetry/metrics/{name}"));
        }
    }
    files
        .into_iter()
        .map(|file| (file.clone(), text(&file)))
        .collect()
}

/// Whether this is one of our metrics' names and nothing else.
pub fn is_metric(word: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    word.strip_prefix("reconcile_")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_part))
}

/// The labels that a template names: `{{host}}` in a legend, `{{ $labels.host }}` in an annotation.
pub fn labels(template: &str) -> Vec<String> {
    let parts = template.split("{{").skip(1);
    let words = parts.filter_map(|part| part.split_once("}}").map(|(word, _)| word.trim()));
    words
        .filter(|word| !word.starts_with("$value"))
        .map(|word| word.trim_start_matches("$labels.").to_owned())
        .collect()
}

/// A time of a proof, in minutes: `30m`, `1h30m`, `7d`.
pub fn minutes(time: &str) -> u64 {
    let (mut sum, mut number) = (0, String::new());
    for character in time.chars() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let unit = match character {
            'm' => 1,
            'h' => 60,
            'd' => 24 * 60,
            other => panic!("{other} in the time {time}"),
        };
        sum += number.parse::<u64>().unwrap() * unit;
        number.clear();
    }
    sum
}

#[test]
fn templates_and_times_are_read_as_they_are_meant() {
    assert_eq!(labels("{{host}}: {{ outcome }}"), ["host", "outcome"]);
    assert_eq!(
        labels("{{ $labels.host }} for {{ $value | humanize }}"),
        ["host"]
    );
    assert_eq!(minutes("1d2h3m"), 1563);
    assert!(is_metric("reconcile_a_total") && !is_metric("reconcile_") && !is_metric("a b"));
}
