//! How new commits are heard of: deliveries of the webhook, and polls.

use desired_state::RepositoryName;
use jiff::Timestamp;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use super::labels::Polled;
use super::series::{counters, real, register, seconds};

/// What is counted of deliveries and polls, and whether repositories can be fetched.
#[derive(Debug)]
pub(super) struct SourceMetrics {
    deliveries: IntCounterVec,
    last_delivery: Gauge,
    polls: IntCounterVec,
    missed_deliveries: IntCounter,
    failing_since: GaugeVec,
}

impl SourceMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let missed_deliveries = IntCounter::new(
            "reconcile_missed_deliveries_total",
            "Commits that a poll found and no delivery announced.",
        );
        let failing_since = GaugeVec::new(
            Opts::new(
                "reconcile_repository_failing_since_seconds",
                "Unix time since when the repository cannot be fetched; 0 while it can.",
            ),
            &["repository"],
        );
        let metrics = Self {
            deliveries: counters(
                registry,
                "reconcile_webhook_deliveries_total",
                "Requests to the webhook receiver, by event and answer.",
                &["event", "result"],
            )?,
            last_delivery: real(
                registry,
                "reconcile_webhook_last_delivery_timestamp_seconds",
                "When the last delivery was accepted; 0 before the first.",
            )?,
            polls: counters(
                registry,
                "reconcile_polls_total",
                "Fetches of a repository, by what came of them.",
                &["result"],
            )?,
            missed_deliveries: register(registry, missed_deliveries)?,
            failing_since: register(registry, failing_since)?,
        };
        for result in Polled::ALL {
            metrics.polls.with_label_values(&[result.label()]);
        }
        Ok(metrics)
    }

    pub(super) fn delivery_answered(&self, event: &str, result: &str) {
        self.deliveries.with_label_values(&[event, result]).inc();
    }

    pub(super) fn delivery_accepted(&self, at: Timestamp) {
        self.last_delivery.set(seconds(at));
    }

    pub(super) fn deliveries_missed(&self, how_many: u64) {
        self.missed_deliveries.inc_by(how_many);
    }

    pub(super) fn polled(&self, repository: &RepositoryName, result: Polled, at: Timestamp) {
        self.polls.with_label_values(&[result.label()]).inc();
        let since = self.failing_since.with_label_values(&[repository.as_ref()]);
        match result {
            Polled::Failed if since.get() == 0.0 => since.set(seconds(at)),
            Polled::Failed => {}
            Polled::Nothing | Polled::Found => since.set(0.0),
        }
    }

    pub(super) fn forget(&self, repository: &RepositoryName) {
        // Absent already is as good.
        let _ = self
            .failing_since
            .remove_label_values(&[repository.as_ref()]);
    }
}
