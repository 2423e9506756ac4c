//! What the code exports, by its own words: a `Metrics` to which everything has happened, as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deploy::{Outcome, RollbackReason};
use desired_state::{Collection, CollectionResult};
use planning::model::spec::CONTROLLER;
use planning::model::status::HostStatus;
use reconciler::telemetry::metrics::{ConfigChange, Metrics, Phase, Polled};
use serde_json::json;

/// What Prometheus adds to every series, or to a histogram's.
pub const FROM_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];

/// A series' labels with their values.
pub type Series = BTreeMap<String, String>;

/// One metric.
#[derive(Debug, Default)]
pub struct Family {
    pub name: String,
    pub help: String,
    pub kind: String,
    pub series: Vec<Series>,
}

/// All of them, by name.
#[derive(Debug)]
pub struct Exported {
    pub families: Vec<Family>,
}

impl Exported {
    /// The metric that has samples of this name.
    pub fn family(&self, sample: &str) -> Option<&Family> {
        let parts = ["_bucket", "_sum", "_count"];
        let base = parts.iter().find_map(|part| sample.strip_suffix(part));
        self.families.iter().find(|family| {
            family.name == sample
                || (family.kind == "histogram" && Some(family.name.as_str()) == base)
        })
    }

    /// The series of the samples of this name.
    pub fn series<'a>(&'a self, sample: &str) -> impl Iterator<Item = &'a Series> {
        self.family(sample).into_iter().flat_map(|one| &one.series)
    }

    /// The labels of the samples of this name, if there are any.
    pub fn labels_of(&self, sample: &str) -> Option<BTreeSet<&str>> {
        self.family(sample).map(Family::labels)
    }

    /// Those that are not of every process.
    pub fn ours(&self) -> impl Iterator<Item = &Family> {
        let is_ours = |family: &&Family| family.name.starts_with("reconcile_");
        self.families.iter().filter(is_ours)
    }

    /// As Markdown, a row each.
    pub fn table(&self) -> String {
        let row = |family: &Family| {
            let labels: Vec<String> = family
                .labels()
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            format!(
                "| `{}` | {} | {} | {} |\n",
                family.name,
                family.kind,
                labels.join(" "),
                family.help
            )
        };
        self.families.iter().map(row).collect()
    }
}

impl Family {
    fn labels(&self) -> BTreeSet<&str> {
        let names = self.series.iter().flat_map(|series| series.keys());
        names
            .map(String::as_str)
            .filter(|name| *name != "le")
            .collect()
    }
}

/// Lets everything happen that has a metric.
pub fn exported() -> Exported {
    let metrics = Metrics::new().unwrap();
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let host = "cyt-pi".parse().unwrap();
    let reason = RollbackReason::NotAcknowledged;
    let ends = [
        Outcome::Converged,
        Outcome::RolledBack {
            reason: reason.clone(),
            detail: String::new(),
        },
        Outcome::RollbackFailed {
            step: "restore".into(),
            code: None,
            reason,
            detail: String::new(),
        },
    ];
    for (number, outcome) in ends.iter().enumerate() {
        metrics.deployment_ended(&host, "switch", outcome);
        // A host has only one outcome at a time.
        metrics.show_host(&status(&format!("host-{number}"), outcome));
    }
    metrics.reboot_ended(&host, &Outcome::Rebooted);
    for phase in Phase::ALL {
        metrics.phase_took(phase, Duration::from_secs(1));
    }
    metrics.converged_after(Duration::from_secs(1));
    for result in ["accepted", "bad_signature"] {
        metrics.delivery_answered("push", result);
    }
    metrics.delivery_accepted(now);
    metrics.polled(&"infra-team/infra".parse().unwrap(), Polled::Found, now);
    metrics.deliveries_missed(1);
    metrics.config_changed(ConfigChange::Reloaded);
    metrics.state_has_free(2);
    metrics.state_takes(1);
    metrics.loop_turned(now);
    metrics.show_free(1);
    let collection = Collection {
        began_at: now,
        ended_at: now,
        result: CollectionResult::Done,
        freed: 1,
        detail: String::new(),
    };
    metrics.collection_ended(CONTROLLER, &collection);
    read(&String::from_utf8(metrics.text().unwrap()).unwrap())
}

fn status(host: &str, outcome: &Outcome) -> HostStatus {
    serde_json::from_value(json!({
        "host": host, "repository": "infra-team/infra", "branch": "main", "policy": "enforce",
        "action": "switch", "consecutive_failures": 0, "failed_units": [], "reboot_required": ["kernel"],
        "outcome": outcome,
    }))
    .unwrap()
}

/// Reads the text format (version 0.0.4), as far as we write it.
fn read(text: &str) -> Exported {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            families.push(Family {
                name: name.to_owned(),
                help: help.to_owned(),
                ..Family::default()
            });
            continue;
        }
        let family = families.last_mut().unwrap();
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            rest.split_once(' ').unwrap().1.clone_into(&mut family.kind);
            continue;
        }
        let labels = line
            .split_once('{')
            .and_then(|(_, rest)| rest.rsplit_once('}'));
        // No value of ours has a comma or a quote in it.
        let labels = labels.map_or("", |(labels, _)| labels).split(',');
        let pairs = labels.filter_map(|pair| pair.split_once('='));
        let series =
            pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
        family.series.push(series.collect());
    }
    Exported { families }
}
