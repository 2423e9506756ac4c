//! The gauges of each host.

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
        remove_series(&self.info, host);
        let text = |value: Option<String>| value.unwrap_or_default();
        self.info
            .with_label_values(&[
                host,
                status.branch.as_ref(),
                &text(status.desired_revision.as_ref().map(ToString::to_string)),
                &text(status.running_toplevel.as_ref().map(ToString::to_string)),
                &text(status.desired_toplevel.as_ref().map(ToString::to_string)),
            ])
            .set(1);
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
        ];
        for gauge in whole {
            remove_series(gauge, host);
        }
        for gauge in [
            &self.drifted_since,
            &self.last_seen,
            &self.last_converged,
            &self.next_attempt,
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
    for family in metrics.collect() {
        for metric in family.get_metric() {
            let labels: std::collections::HashMap<&str, &str> = metric
                .get_label()
                .iter()
                .map(|label| (label.name(), label.value()))
                .collect();
            if labels.get(name) == Some(&value) {
                // Gone already is as good.
                let _ = metrics.remove(&labels);
            }
        }
    }
}
