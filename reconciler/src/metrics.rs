//! What Prometheus reads. A series of a host that left the fleet goes away with it.

mod host;
mod labels;
mod repository;
mod store;

pub use labels::{ConfigChange, Phase, Polled};

use std::time::Duration;

use deploy::Outcome;
use desired_state::{Collection, HostName, RepositoryName};
use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::api::HostStatus;
use host::HostMetrics;
use repository::RepositoryMetrics;
pub use store::CONTROLLER;
use store::StoreMetrics;

/// Buckets from a tenth of a second to an hour, for phases and for convergence.
const UP_TO_AN_HOUR: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0,
];

/// All that we export.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    host: HostMetrics,
    repository: RepositoryMetrics,
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
    config_is_taken_up: IntGauge,
    state_free: IntGauge,
    state_size: IntGauge,
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
        let metrics = Self {
            host: HostMetrics::new(&registry)?,
            repository: RepositoryMetrics::new(&registry)?,
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
            config_is_taken_up: register(
                &registry,
                IntGauge::new(
                    "reconcile_config_last_reload_successful",
                    "1 while the config file as it is now is in force; 0 while it is refused.",
                ),
            )?,
            state_free: register(
                &registry,
                IntGauge::new(
                    "reconcile_state_free_bytes",
                    "What is free on the disk where the state is.",
                ),
            )?,
            state_size: register(
                &registry,
                IntGauge::new(
                    "reconcile_state_size_bytes",
                    "What the state directory takes there.",
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
        };
        metrics.begin();
        Ok(metrics)
    }

    /// Shows every series whose labels are known beforehand: of one that begins with its first event,
    /// `increase()` does not see that event.
    fn begin(&self) {
        for result in Polled::ALL {
            self.polls.with_label_values(&[result.label()]);
        }
        for change in ConfigChange::ALL {
            self.config_reloads.with_label_values(&[change.label()]);
        }
        for phase in Phase::ALL {
            self.phases.with_label_values(&[phase.label()]);
        }
        // What we started with is in force.
        self.config_is_taken_up.set(1);
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
        self.store.begin(status.host.as_ref());
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

    /// Counts a fetch, and shows since when the repository cannot be fetched.
    pub fn polled(&self, repository: &RepositoryName, result: Polled, at: Timestamp) {
        self.polls.with_label_values(&[result.label()]).inc();
        match result {
            Polled::Failed => self.repository.failed(repository, at),
            Polled::Nothing | Polled::Found => self.repository.fetched(repository),
        }
    }

    /// Removes the series of a repository that left the config.
    pub fn forget_repository(&self, repository: &RepositoryName) {
        self.repository.forget(repository);
    }

    /// Counts commits that no delivery announced.
    pub fn deliveries_missed(&self, how_many: u64) {
        self.missed_deliveries.inc_by(how_many);
    }

    /// Counts a change of the config file, and shows whether the file is in force.
    pub fn config_changed(&self, change: ConfigChange) {
        self.config_reloads
            .with_label_values(&[change.label()])
            .inc();
        self.config_is_taken_up
            .set(i64::from(change == ConfigChange::Reloaded));
    }

    /// Shows what is free where the state is, in bytes.
    pub fn state_has_free(&self, bytes: u64) {
        self.state_free
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Shows what the state takes, in bytes.
    pub fn state_takes(&self, bytes: u64) {
        self.state_size
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
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
mod tests;
