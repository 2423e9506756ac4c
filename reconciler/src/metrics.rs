//! What Prometheus reads. A series of a host that left the fleet goes away with it.

mod host;
mod store;

use std::time::Duration;

use deploy::Outcome;
use desired_state::{Collection, HostName};
use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::api::HostStatus;
use host::HostMetrics;
pub use store::CONTROLLER;
use store::StoreMetrics;

/// Buckets from a tenth of a second to an hour, for phases and for convergence.
const UP_TO_AN_HOUR: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0,
];

/// A part of the way from a push to a switched host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Fetching the repository.
    Fetch,
    /// Evaluating the flake.
    Evaluate,
    /// Asking the host what it runs.
    Observe,
    /// Building the system.
    Build,
    /// Copying it.
    Copy,
    /// Activating it and reading back.
    Activate,
}

impl Phase {
    fn label(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Evaluate => "evaluate",
            Self::Observe => "observe",
            Self::Build => "build",
            Self::Copy => "copy",
            Self::Activate => "activate",
        }
    }
}

/// All that we export.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    host: HostMetrics,
    store: StoreMetrics,
    deployments: IntCounterVec,
    rollbacks: IntCounterVec,
    reboots: IntCounterVec,
    phases: HistogramVec,
    convergence: Histogram,
    deliveries: IntCounterVec,
    last_delivery: Gauge,
    polls: IntCounterVec,
    missed_deliveries: IntCounter,
    config_reloads: IntCounterVec,
    loop_last_turn: Gauge,
}

/// The names below are constants that are valid and given once, so none of this can fail; a fault
/// would show in the first test that makes a `Metrics`.
fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let collector = collector?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

impl Metrics {
    /// A registry with everything in it at its beginning.
    ///
    /// # Errors
    /// Only when two metrics have one name: a fault in this file.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        let build_info = register(
            &registry,
            IntGaugeVec::new(
                Opts::new(
                    "reconcile_build_info",
                    "Always 1; the labels say what runs.",
                ),
                &["version", "commit"],
            ),
        )?;
        build_info
            .with_label_values(&[
                env!("CARGO_PKG_VERSION"),
                option_env!("RECONCILE_COMMIT").unwrap_or("unknown"),
            ])
            .set(1);
        Ok(Self {
            host: HostMetrics::new(&registry)?,
            store: StoreMetrics::new(&registry)?,
            deployments: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "reconcile_deployments_total",
                        "Deployments that ended, by how they ended.",
                    ),
                    &["host", "action", "outcome"],
                ),
            )?,
            rollbacks: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "reconcile_rollbacks_total",
                        "Systems that could not stay, by what sent the host back.",
                    ),
                    &["host", "reason"],
                ),
            )?,
            reboots: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "reconcile_reboots_total",
                        "Reboots of ours that ended, by how they ended.",
                    ),
                    &["host", "outcome"],
                ),
            )?,
            phases: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "reconcile_phase_duration_seconds",
                        "How long each part of a deployment took.",
                    )
                    .buckets(UP_TO_AN_HOUR.to_vec()),
                    &["phase"],
                ),
            )?,
            convergence: register(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "reconcile_convergence_seconds",
                        "From a push received to a host seen on its system.",
                    )
                    .buckets(UP_TO_AN_HOUR.to_vec()),
                ),
            )?,
            deliveries: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "reconcile_webhook_deliveries_total",
                        "Requests to the webhook receiver, by event and answer.",
                    ),
                    &["event", "result"],
                ),
            )?,
            last_delivery: register(
                &registry,
                Gauge::new(
                    "reconcile_webhook_last_delivery_timestamp_seconds",
                    "When the last delivery was accepted; 0 before the first.",
                ),
            )?,
            polls: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "reconcile_polls_total",
                        "Fetches of a repository, by what came of them.",
                    ),
                    &["result"],
                ),
            )?,
            missed_deliveries: register(
                &registry,
                IntCounter::new(
                    "reconcile_missed_deliveries_total",
                    "Commits that a poll found and no delivery announced.",
                ),
            )?,
            config_reloads: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "reconcile_config_reloads_total",
                        "Changes of the config file, by whether they were taken up.",
                    ),
                    &["result"],
                ),
            )?,
            loop_last_turn: register(
                &registry,
                Gauge::new(
                    "reconcile_loop_last_turn_timestamp_seconds",
                    "When the loop that takes up hosts last turned: every few seconds, also with nothing to do.",
                ),
            )?,
            registry,
        })
    }

    /// The exposition text, format 0.0.4.
    ///
    /// # Errors
    /// When a metric cannot be encoded: a fault in this file.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Shows a host as it is now.
    pub fn show_host(&self, status: &HostStatus) {
        self.host.show(status);
        if let Some(free) = status.store.free_bytes {
            self.store.show_free(status.host.as_ref(), free);
        }
    }

    /// Removes every series of a host that left the fleet.
    pub fn forget_host(&self, host: &HostName) {
        self.host.forget(host);
        self.store.forget(host.as_ref());
        host::remove_series(&self.deployments, host.as_ref());
        host::remove_series(&self.rollbacks, host.as_ref());
        host::remove_series(&self.reboots, host.as_ref());
    }

    /// Shows how much is free in the store of this machine.
    pub fn show_free(&self, bytes: u64) {
        self.store.show_free(CONTROLLER, bytes);
    }

    /// Counts a garbage collection that ended; `store` is [`CONTROLLER`] or a host's name.
    pub fn collection_ended(&self, store: &str, collection: &Collection) {
        self.store.ended(store, collection);
    }

    /// Counts a deployment that ended.
    pub fn deployment_ended(&self, host: &HostName, action: &str, outcome: &Outcome) {
        self.deployments
            .with_label_values(&[host.as_ref(), action, outcome.label()])
            .inc();
        if let Outcome::RolledBack { reason, .. } | Outcome::RollbackFailed { reason, .. } = outcome
        {
            self.rollbacks
                .with_label_values(&[host.as_ref(), reason.label()])
                .inc();
        }
    }

    /// Counts a reboot that ended.
    pub fn reboot_ended(&self, host: &HostName, outcome: &Outcome) {
        self.reboots
            .with_label_values(&[host.as_ref(), outcome.label()])
            .inc();
    }

    /// Records how long a phase took.
    pub fn phase_took(&self, phase: Phase, took: Duration) {
        self.phases
            .with_label_values(&[phase.label()])
            .observe(took.as_secs_f64());
    }

    /// Records how long a push took to be seen on a host.
    pub fn converged_after(&self, took: Duration) {
        self.convergence.observe(took.as_secs_f64());
    }

    /// Counts a request to the webhook receiver.
    pub fn delivery_answered(&self, event: &str, result: &str) {
        self.deliveries.with_label_values(&[event, result]).inc();
    }

    /// Records when a delivery was accepted.
    pub fn delivery_accepted(&self, at: Timestamp) {
        self.last_delivery.set(seconds(at));
    }

    /// Counts a fetch: `found`, `nothing` or `failed`.
    pub fn polled(&self, result: &str) {
        self.polls.with_label_values(&[result]).inc();
    }

    /// Counts commits that no delivery announced.
    pub fn deliveries_missed(&self, how_many: u64) {
        self.missed_deliveries.inc_by(how_many);
    }

    /// Counts a change of the config file: `reloaded` or `refused`.
    pub fn config_changed(&self, result: &str) {
        self.config_reloads.with_label_values(&[result]).inc();
    }

    /// Records when the loop turned.
    pub fn loop_turned(&self, at: Timestamp) {
        self.loop_last_turn.set(seconds(at));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a double holds milliseconds exactly for 285,000 years"
)]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use deploy::Action;

    use super::*;

    fn status(host: &str) -> HostStatus {
        HostStatus {
            host: host.parse().unwrap(),
            repository: "infra-team/infra".parse().unwrap(),
            branch: "main".parse().unwrap(),
            branch_state: None,
            policy: "enforce".into(),
            action: Action::Switch,
            desired_revision: Some("a".repeat(40).parse().unwrap()),
            desired_toplevel: None,
            running_toplevel: None,
            drift: None,
            drifted_since: None,
            quarantine: None,
            waits: None,
            waits_until: None,
            outcome: None,
            outcome_at: None,
            consecutive_failures: 0,
            next_attempt: None,
            last_seen: None,
            unreachable: None,
            overdue_since: None,
            last_converged: None,
            failed_units: Vec::new(),
            reboot_required: Vec::new(),
            reboot: None,
            reboot_waits: None,
            store: crate::api::StoreStatus {
                free_bytes: Some(7),
                last_collection: None,
            },
            suspended: None,
            pinned_by: None,
            pinned_branch: None,
        }
    }

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.text().unwrap()).unwrap()
    }

    #[test]
    fn every_series_of_a_host_that_left_the_fleet_goes_away() {
        let metrics = Metrics::new().unwrap();
        let gone = status("gone");
        metrics.show_host(&gone);
        metrics.show_host(&status("stays"));
        metrics.deployment_ended(&gone.host, "switch", &Outcome::Converged);
        metrics.reboot_ended(&gone.host, &Outcome::Rebooted);
        let collection = Collection {
            began_at: Timestamp::UNIX_EPOCH,
            ended_at: Timestamp::UNIX_EPOCH,
            result: desired_state::CollectionResult::Done,
            freed: 1,
            detail: String::new(),
        };
        metrics.collection_ended("gone", &collection);
        assert!(text(&metrics).contains("host=\"gone\""));
        assert!(text(&metrics).contains("store=\"gone\""));
        metrics.forget_host(&gone.host);
        assert!(!text(&metrics).contains("\"gone\""));
        assert!(text(&metrics).contains("host=\"stays\""));
    }

    #[test]
    fn a_host_has_one_info_series_at_a_time() {
        let metrics = Metrics::new().unwrap();
        let mut host = status("cyt-pi");
        metrics.show_host(&host);
        host.desired_revision = Some("b".repeat(40).parse().unwrap());
        metrics.show_host(&host);
        let lines = text(&metrics);
        let infos: Vec<&str> = lines
            .lines()
            .filter(|line| line.starts_with("reconcile_host_info{"))
            .collect();
        assert_eq!(infos.len(), 1, "{infos:?}");
        assert!(infos[0].contains("bbbb"), "{infos:?}");
    }
}
