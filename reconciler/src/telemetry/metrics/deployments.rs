//! Deployments and reboots: how they ended, and how long they took.

use std::collections::HashMap;
use std::time::Duration;

use deploy::Outcome;
use desired_state::HostName;
use prometheus::core::Collector as _;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, Registry};

use super::labels::Phase;
use super::series::{counters, register};

/// Buckets from a tenth of a second to an hour, for phases and for convergence.
const UP_TO_AN_HOUR: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0,
];

/// What is counted and timed of changes to hosts.
#[derive(Debug)]
pub(super) struct DeploymentMetrics {
    deployments: IntCounterVec,
    rollbacks: IntCounterVec,
    reboots: IntCounterVec,
    phases: HistogramVec,
    convergence: Histogram,
}

impl DeploymentMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let durations = |name, help| HistogramOpts::new(name, help).buckets(UP_TO_AN_HOUR.to_vec());
        let phases = HistogramVec::new(
            durations(
                "reconcile_phase_duration_seconds",
                "How long each part of a deployment took.",
            ),
            &["phase"],
        );
        let convergence = Histogram::with_opts(durations(
            "reconcile_convergence_seconds",
            "From a push received to a host seen on its system.",
        ));
        let metrics = Self {
            deployments: counters(
                registry,
                "reconcile_deployments_total",
                "Deployments that ended, by how they ended.",
                &["host", "action", "outcome"],
            )?,
            rollbacks: counters(
                registry,
                "reconcile_rollbacks_total",
                "Systems that could not stay, by what sent the host back.",
                &["host", "reason"],
            )?,
            reboots: counters(
                registry,
                "reconcile_reboots_total",
                "Reboots of ours that ended, by how they ended.",
                &["host", "outcome"],
            )?,
            phases: register(registry, phases)?,
            convergence: register(registry, convergence)?,
        };
        for phase in Phase::ALL {
            metrics.phases.with_label_values(&[phase.label()]);
        }
        Ok(metrics)
    }

    pub(super) fn ended(&self, host: &HostName, action: &str, outcome: &Outcome) {
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

    pub(super) fn reboot_ended(&self, host: &HostName, outcome: &Outcome) {
        self.reboots
            .with_label_values(&[host.as_ref(), outcome.label()])
            .inc();
    }

    pub(super) fn phase_took(&self, phase: Phase, took: Duration) {
        self.phases
            .with_label_values(&[phase.label()])
            .observe(took.as_secs_f64());
    }

    pub(super) fn converged_after(&self, took: Duration) {
        self.convergence.observe(took.as_secs_f64());
    }

    pub(super) fn forget(&self, host: &HostName) {
        for counters in [&self.deployments, &self.rollbacks, &self.reboots] {
            remove_host(counters, host);
        }
    }
}

/// Removes the series of a host, whatever the other labels are. Looks at the series of all.
fn remove_host(counters: &IntCounterVec, host: &HostName) {
    for family in counters.collect() {
        for metric in family.get_metric() {
            let labels = metric.get_label().iter();
            let labels: HashMap<&str, &str> =
                labels.map(|label| (label.name(), label.value())).collect();
            if labels.get("host") == Some(&host.as_ref()) {
                // Gone already is as good.
                let _ = counters.remove(&labels);
            }
        }
    }
}
