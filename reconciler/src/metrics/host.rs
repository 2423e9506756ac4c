//! The gauges of each host.

use std::collections::HashMap;

use deploy::RebootReason;
use desired_state::HostName;
use jiff::Timestamp;
use prometheus::core::{Collector as _, MetricVec, MetricVecBuilder};
use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

use super::{register, seconds};
use crate::api::{DriftStatus, HostStatus};
use crate::reboot::Reboot;

/// Gauges with the label `host`.
#[derive(Debug)]
pub(super) struct HostMetrics {
    drifted: IntGaugeVec,
    drifted_since: GaugeVec,
    info: IntGaugeVec,
    reachable: IntGaugeVec,
    overdue: IntGaugeVec,
    last_seen: GaugeVec,
    last_converged: GaugeVec,
    consecutive_failures: IntGaugeVec,
    next_attempt: GaugeVec,
    quarantined: IntGaugeVec,
    suspended: IntGaugeVec,
    reboot_required: IntGaugeVec,
    reboot_failed: IntGaugeVec,
    failed_units: IntGaugeVec,
    outcome: IntGaugeVec,
    waits_until: GaugeVec,
}

impl HostMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let whole = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let real = |name: &str, help: &str| {
            register(registry, GaugeVec::new(Opts::new(name, help), &["host"]))
        };
        Ok(Self {
            drifted: whole(
                "reconcile_host_drifted",
                "1 while the host runs something else than is wanted.",
                &["host"],
            )?,
            drifted_since: real(
                "reconcile_host_drifted_since_seconds",
                "Unix time since when it has; 0 while in sync.",
            )?,
            info: whole(
                "reconcile_host_info",
                "Always 1; the labels say what the host follows, should run and runs.",
                &[
                    "host",
                    "branch",
                    "desired_revision",
                    "running_toplevel",
                    "desired_toplevel",
                ],
            )?,
            reachable: whole(
                "reconcile_host_reachable",
                "1 if the host answered when last asked.",
                &["host"],
            )?,
            overdue: whole(
                "reconcile_host_overdue",
                "1 while the host has not answered for longer than it may be away.",
                &["host"],
            )?,
            last_seen: real(
                "reconcile_host_last_seen_timestamp_seconds",
                "When the host last answered; 0 if never.",
            )?,
            last_converged: real(
                "reconcile_host_last_converged_timestamp_seconds",
                "When the host was last found on what is wanted; 0 if never.",
            )?,
            consecutive_failures: whole(
                "reconcile_host_consecutive_failures",
                "Attempts that failed in a row for what is wanted now.",
                &["host"],
            )?,
            next_attempt: real(
                "reconcile_host_next_attempt_timestamp_seconds",
                "When the next attempt is due after a failure; 0 if none waits.",
            )?,
            quarantined: whole(
                "reconcile_host_quarantined",
                "1 while a system that could not stay is kept from the host.",
                &["host"],
            )?,
            suspended: whole(
                "reconcile_host_suspended",
                "1 while a person has suspended the host.",
                &["host"],
            )?,
            reboot_required: whole(
                "reconcile_host_reboot_required",
                "1 for each reason for which the host needs a reboot.",
                &["host", "reason"],
            )?,
            reboot_failed: whole(
                "reconcile_host_reboot_failed",
                "1 while a failed reboot keeps the host from being rebooted again by itself.",
                &["host"],
            )?,
            failed_units: whole(
                "reconcile_host_failed_units",
                "systemd units that are failed on the host.",
                &["host"],
            )?,
            outcome: whole(
                "reconcile_host_outcome",
                "Always 1; the label says how the last attempt for what is wanted ended. Absent before the first.",
                &["host", "outcome"],
            )?,
            waits_until: real(
                "reconcile_host_waits_until_timestamp_seconds",
                "When the window opens that the host waits for; 0 if it waits for none.",
            )?,
        })
    }

    pub(super) fn show(&self, status: &HostStatus) {
        let host = status.host.as_ref();
        let time = |at: Option<Timestamp>| at.map_or(0.0, seconds);
        let flag = i64::from;
        self.drifted
            .with_label_values(&[host])
            .set(flag(status.drift == Some(DriftStatus::Drifted)));
        self.drifted_since
            .with_label_values(&[host])
            .set(time(status.drifted_since));
        self.reachable.with_label_values(&[host]).set(flag(
            status.unreachable.is_none() && status.last_seen.is_some(),
        ));
        self.overdue
            .with_label_values(&[host])
            .set(flag(status.overdue_since.is_some()));
        self.last_seen
            .with_label_values(&[host])
            .set(time(status.last_seen));
        self.last_converged
            .with_label_values(&[host])
            .set(time(status.last_converged));
        self.consecutive_failures
            .with_label_values(&[host])
            .set(i64::from(status.consecutive_failures));
        self.next_attempt
            .with_label_values(&[host])
            .set(time(status.next_attempt));
        self.quarantined
            .with_label_values(&[host])
            .set(flag(status.quarantine.is_some()));
        self.suspended
            .with_label_values(&[host])
            .set(flag(status.suspended.is_some()));
        let has_failed = |reboot: &Reboot| !reboot.is_under_way();
        self.reboot_failed
            .with_label_values(&[host])
            .set(flag(status.reboot.as_ref().is_some_and(has_failed)));
        self.failed_units
            .with_label_values(&[host])
            .set(i64::try_from(status.failed_units.len()).unwrap_or(i64::MAX));
        for reason in RebootReason::ALL {
            self.reboot_required
                .with_label_values(&[host, reason.label()])
                .set(flag(status.reboot_required.contains(&reason)));
        }
        self.waits_until
            .with_label_values(&[host])
            .set(time(status.waits_until));
        match &status.outcome {
            Some(outcome) => show_only(
                &self.outcome,
                &HashMap::from([("host", host), ("outcome", outcome.label())]),
            ),
            None => remove_series(&self.outcome, host),
        }
        let text = |value: Option<String>| value.unwrap_or_default();
        let revision = text(status.desired_revision.as_ref().map(ToString::to_string));
        let running = text(status.running_toplevel.as_ref().map(ToString::to_string));
        let desired = text(status.desired_toplevel.as_ref().map(ToString::to_string));
        show_only(
            &self.info,
            &HashMap::from([
                ("host", host),
                ("branch", status.branch.as_ref()),
                ("desired_revision", revision.as_str()),
                ("running_toplevel", running.as_str()),
                ("desired_toplevel", desired.as_str()),
            ]),
        );
    }

    pub(super) fn forget(&self, host: &HostName) {
        let host = host.as_ref();
        let whole = [
            &self.drifted,
            &self.info,
            &self.reachable,
            &self.overdue,
            &self.consecutive_failures,
            &self.quarantined,
            &self.suspended,
            &self.reboot_required,
            &self.reboot_failed,
            &self.failed_units,
            &self.outcome,
        ];
        for gauge in whole {
            remove_series(gauge, host);
        }
        for gauge in [
            &self.drifted_since,
            &self.last_seen,
            &self.last_converged,
            &self.next_attempt,
            &self.waits_until,
        ] {
            // Absent already is as good.
            let _ = gauge.remove_label_values(&[host]);
        }
    }
}

/// Removes the series of one host, whatever its other labels are.
pub(super) fn remove_series<B: MetricVecBuilder>(metrics: &MetricVec<B>, host: &str) {
    remove_where(metrics, "host", host);
}

/// Removes the series with this value of a label, whatever the others are.
pub(super) fn remove_where<B: MetricVecBuilder>(metrics: &MetricVec<B>, name: &str, value: &str) {
    remove_all_but(metrics, (name, value), None);
}

/// Sets the one series that a host has in these metrics to 1. One that stays is never away in between:
/// a scrape at that instant would end an alert.
fn show_only(metrics: &IntGaugeVec, labels: &HashMap<&str, &str>) {
    if let Some(host) = labels.get("host") {
        remove_all_but(metrics, ("host", host), Some(labels));
    }
    metrics.with(labels).set(1);
}

fn remove_all_but<B: MetricVecBuilder>(
    metrics: &MetricVec<B>,
    (name, value): (&str, &str),
    kept: Option<&HashMap<&str, &str>>,
) {
    for family in metrics.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> = metric
                .get_label()
                .iter()
                .map(|label| (label.name(), label.value()))
                .collect();
            if labels.get(name) == Some(&value) && Some(&labels) != kept {
                // Gone already is as good.
                let _ = metrics.remove(&labels);
            }
        }
    }
}
