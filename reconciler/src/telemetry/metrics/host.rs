//! What is shown of each host: how it is, as of the last look.

use deploy::RebootReason;
use desired_state::HostName;
use jiff::Timestamp;
use planning::model::reboot::Reboot;
use planning::model::status::{DriftStatus, HostStatus};
use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

use super::info::HostInfo;
use super::series::{gauges, register, seconds};

/// A gauge with the label `host` alone.
struct HostGauge {
    name: &'static str,
    help: &'static str,
    value: fn(&HostStatus) -> f64,
}

const GAUGES: [HostGauge; 13] = [
    HostGauge {
        name: "reconcile_host_drifted",
        help: "1 while the host runs something else than is wanted.",
        value: |host| f64::from(host.drift == Some(DriftStatus::Drifted)),
    },
    HostGauge {
        name: "reconcile_host_drifted_since_seconds",
        help: "Unix time since when it has; 0 while in sync.",
        value: |host| time(host.drifted_since),
    },
    HostGauge {
        name: "reconcile_host_reachable",
        help: "1 if the host answered when last asked.",
        value: |host| f64::from(host.unreachable.is_none() && host.last_seen.is_some()),
    },
    HostGauge {
        name: "reconcile_host_overdue",
        help: "1 while the host has not answered for longer than it may be away.",
        value: |host| f64::from(host.overdue_since.is_some()),
    },
    HostGauge {
        name: "reconcile_host_last_seen_timestamp_seconds",
        help: "When the host last answered; 0 if never.",
        value: |host| time(host.last_seen),
    },
    HostGauge {
        name: "reconcile_host_last_converged_timestamp_seconds",
        help: "When the host was last found on what is wanted; 0 if never.",
        value: |host| time(host.last_converged),
    },
    HostGauge {
        name: "reconcile_host_consecutive_failures",
        help: "Attempts that failed in a row for what is wanted now.",
        value: |host| f64::from(host.consecutive_failures),
    },
    HostGauge {
        name: "reconcile_host_next_attempt_timestamp_seconds",
        help: "When the next attempt is due after a failure; 0 if none waits.",
        value: |host| time(host.next_attempt),
    },
    HostGauge {
        name: "reconcile_host_quarantined",
        help: "1 while a system that could not stay is kept from the host.",
        value: |host| f64::from(host.quarantine.is_some()),
    },
    HostGauge {
        name: "reconcile_host_suspended",
        help: "1 while a person has suspended the host.",
        value: |host| f64::from(host.suspended.is_some()),
    },
    HostGauge {
        name: "reconcile_host_reboot_failed",
        help: "1 while a failed reboot keeps the host from being rebooted again by itself.",
        value: |host| {
            let has_failed = |reboot: &Reboot| !reboot.is_under_way();
            f64::from(host.reboot.as_ref().is_some_and(has_failed))
        },
    },
    HostGauge {
        name: "reconcile_host_failed_units",
        help: "systemd units that are failed on the host.",
        value: |host| f64::from(u32::try_from(host.failed_units.len()).unwrap_or(u32::MAX)),
    },
    HostGauge {
        name: "reconcile_host_waits_until_timestamp_seconds",
        help: "When the window opens that the host waits for; 0 if it waits for none.",
        value: |host| time(host.waits_until),
    },
];

fn time(at: Option<Timestamp>) -> f64 {
    at.map_or(0.0, seconds)
}

/// What is labelled `host` and says how the host is.
#[derive(Debug)]
pub(super) struct HostMetrics {
    /// Those of [`GAUGES`], in their order.
    gauges: Vec<GaugeVec>,
    reboot_required: IntGaugeVec,
    info: HostInfo<4>,
    outcome: HostInfo<1>,
}

impl HostMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |gauge: &HostGauge| {
            let options = Opts::new(gauge.name, gauge.help);
            register(registry, GaugeVec::new(options, &["host"]))
        };
        Ok(Self {
            gauges: GAUGES.iter().map(gauge).collect::<Result<_, _>>()?,
            reboot_required: gauges(
                registry,
                "reconcile_host_reboot_required",
                "1 for each reason for which the host needs a reboot.",
                &["host", "reason"],
            )?,
            info: HostInfo::new(
                registry,
                "reconcile_host_info",
                "Always 1; the labels say what the host follows, should run and runs.",
                [
                    "branch",
                    "desired_revision",
                    "running_toplevel",
                    "desired_toplevel",
                ],
            )?,
            outcome: HostInfo::new(
                registry,
                "reconcile_host_outcome",
                "Always 1; the label says how the last attempt for what is wanted ended. Absent before the first.",
                ["outcome"],
            )?,
        })
    }

    pub(super) fn show(&self, status: &HostStatus) {
        let host = &status.host;
        for (HostGauge { value, .. }, gauge) in GAUGES.iter().zip(&self.gauges) {
            gauge.with_label_values(&[host.as_ref()]).set(value(status));
        }
        for reason in RebootReason::ALL {
            self.reboot_required
                .with_label_values(&[host.as_ref(), reason.label()])
                .set(status.reboot_required.contains(&reason).into());
        }
        let outcome = status.outcome.as_ref();
        self.outcome
            .show(host, outcome.map(|outcome| [outcome.label()]));
        let revision = text(status.desired_revision.as_ref());
        let running = text(status.running_toplevel.as_ref());
        let desired = text(status.desired_toplevel.as_ref());
        let branch = status.branch.as_ref();
        self.info
            .show(host, Some([branch, &revision, &running, &desired]));
    }

    /// Removes all of a host. What is absent already is as good.
    pub(super) fn forget(&self, host: &HostName) {
        for gauge in &self.gauges {
            let _ = gauge.remove_label_values(&[host.as_ref()]);
        }
        for reason in RebootReason::ALL {
            let labels = [host.as_ref(), reason.label()];
            let _ = self.reboot_required.remove_label_values(&labels);
        }
        self.outcome.show(host, None);
        self.info.show(host, None);
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map_or_else(String::new, ToString::to_string)
}
