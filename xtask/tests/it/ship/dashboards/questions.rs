//! Every query of the dashboard and of the alerts, until each has given data.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::wait::wait_until;
use xtask::workspace::root;

use super::ALERTS;
use super::prometheus::{Prometheus, SOON};

/// What a person waits for for hours, made seconds. The rest of each rule is as it is shipped.
const SHORTER: [(&str, &str); 5] = [
    ("> 3600", "> 3"),
    ("> 120", "> 0"),
    ("> 600", "> 1"),
    ("< 2 * 1024 * 1024 * 1024", "< 1e18"),
    ("1024 * 1024 * 1024", "1e18"),
];

/// One of them.
pub struct Question {
    place: String,
    /// As Prometheus gets it.
    pub query: String,
}

impl Question {
    /// Whether a panel of this title asks it.
    pub fn is_of(&self, panel: &str) -> bool {
        self.place == format!("the panel {panel:?}")
    }
}

/// Those that have not given data yet.
pub struct Questions {
    open: Vec<Question>,
}

/// The alerts, impatient.
pub fn short_alerts() -> Result<String> {
    let text = fs::read_to_string(root().join(ALERTS))?;
    let lines = text.lines().map(|line| {
        if line.trim_start().starts_with("for: ") {
            "        for: 2s".to_owned()
        } else {
            SHORTER.iter().fold(line.to_owned(), |line, (long, short)| {
                line.replace(long, short)
            })
        }
    });
    Ok(lines.map(|line| line + "\n").collect())
}

impl Questions {
    /// All of them.
    pub fn all(prometheus: &Prometheus) -> Result<Self> {
        let mut open = of_dashboard("10m")?;
        ensure!(open.len() > 30, "the dashboard has {} queries", open.len());
        let rules = prometheus.rules()?;
        ensure!(
            rules.len() > 10,
            "prometheus has read {} rules",
            rules.len()
        );
        open.extend(rules.iter().map(|rule| Question {
            place: format!("the alert {}", rule["name"]),
            query: rule["query"].as_str().unwrap_or_default().to_owned(),
        }));
        Ok(Self { open })
    }

    /// Asks those that are open, of what Prometheus has scraped from now on.
    pub fn ask(&mut self, prometheus: &Prometheus) -> Result<()> {
        prometheus.scrape()?;
        let mut open = Vec::new();
        for question in self.open.drain(..) {
            let answer = prometheus.query(&question.query);
            let answer = answer.with_context(|| question.place.clone())?;
            // Of nothing, histogram_quantile() makes a NaN.
            if answer.iter().all(|series| series["value"][1] == "NaN") {
                open.push(question);
            }
        }
        self.open = open;
        Ok(())
    }

    /// Fails where one has never given data.
    pub fn all_are_answered(&self) -> Result<()> {
        let open: Vec<String> = self
            .open
            .iter()
            .map(|question| format!("{}: {}", question.place, question.query))
            .collect();
        ensure!(open.is_empty(), "never any data of\n{}", open.join("\n"));
        Ok(())
    }
}

/// Waits until an alert fires for a host, or for the daemon; its words have to be filled in.
pub fn wait_until_fires(prometheus: &Prometheus, name: &str, host: Option<&str>) -> Result<()> {
    let what = format!("{name} to fire");
    let fired = wait_until(
        &what,
        SOON,
        || find(prometheus, name, host),
        Option::is_some,
    )?;
    for (annotation, text) in fired
        .iter()
        .flat_map(|alert| alert["annotations"].as_object())
        .flatten()
    {
        let text = text.as_str().unwrap_or_default();
        ensure!(
            !text.contains("{{") && !text.contains("error expanding"),
            "{annotation} of {name}: {text}"
        );
    }
    Ok(())
}

/// Waits until it does not any more.
pub fn wait_until_resolves(prometheus: &Prometheus, name: &str, host: Option<&str>) -> Result<()> {
    let what = format!("{name} to resolve");
    wait_until(
        &what,
        SOON,
        || find(prometheus, name, host),
        Option::is_none,
    )
    .map(drop)
}

fn find(prometheus: &Prometheus, name: &str, host: Option<&str>) -> Result<Option<Value>> {
    let is_it = |alert: &Value| {
        alert["labels"]["alertname"] == name && alert["labels"]["host"].as_str() == host
    };
    Ok(prometheus.firing()?.into_iter().find(is_it))
}

/// The dashboard's, as Grafana sends them when so much time is shown.
pub fn of_dashboard(range: &str) -> Result<Vec<Question>> {
    let text = fs::read_to_string(root().join("charts/reconcile/files/dashboard.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let mut questions = Vec::new();
    for panel in dashboard["panels"].as_array().context("no panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"]
                .as_str()
                .context("a target without a query")?;
            let filled_in = [
                ("$__rate_interval", "1m"),
                ("$__range", range),
                ("$host", ".*"),
                ("$instance", ".*"),
            ]
            .iter()
            .fold(query.to_owned(), |query, (name, value)| {
                query.replace(name, value)
            });
            questions.push(Question {
                place: format!("the panel {}", panel["title"]),
                query: filled_in,
            });
        }
    }
    Ok(questions)
}
