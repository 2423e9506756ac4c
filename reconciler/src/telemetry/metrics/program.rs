//! The program itself: what runs, under which config, in how much room, and that its loop turns.

use jiff::Timestamp;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, IntCounterVec, IntGauge, Registry};

use super::labels::ConfigChange;
use super::series::{counters, gauges, real, seconds, show_bytes, whole};

/// What is shown of the program, beside what is shown of every process.
#[derive(Debug)]
pub(super) struct ProgramMetrics {
    config_reloads: IntCounterVec,
    config_is_taken_up: IntGauge,
    state_free: IntGauge,
    state_size: IntGauge,
    loop_last_turn: Gauge,
}

impl ProgramMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build_info = gauges(
            registry,
            "reconcile_build_info",
            "Always 1; the labels say what runs.",
            &["version", "commit"],
        )?;
        let commit = option_env!("RECONCILE_COMMIT").unwrap_or("unknown");
        build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION"), commit])
            .set(1);
        let metrics = Self {
            config_reloads: counters(
                registry,
                "reconcile_config_reloads_total",
                "Changes of the config file, by whether they were taken up.",
                &["result"],
            )?,
            config_is_taken_up: whole(
                registry,
                "reconcile_config_last_reload_successful",
                "1 while the config file as it is now is in force; 0 while it is refused.",
            )?,
            state_free: whole(
                registry,
                "reconcile_state_free_bytes",
                "What is free on the disk where the state is.",
            )?,
            state_size: whole(
                registry,
                "reconcile_state_size_bytes",
                "What the state directory takes there.",
            )?,
            loop_last_turn: real(
                registry,
                "reconcile_loop_last_turn_timestamp_seconds",
                "When the loop that takes up hosts last turned: every few seconds, also with nothing to do.",
            )?,
        };
        for change in ConfigChange::ALL {
            metrics.config_reloads.with_label_values(&[change.label()]);
        }
        // What we started with is in force.
        metrics.config_is_taken_up.set(1);
        Ok(metrics)
    }

    pub(super) fn config_changed(&self, change: ConfigChange) {
        self.config_reloads
            .with_label_values(&[change.label()])
            .inc();
        self.config_is_taken_up
            .set(i64::from(change == ConfigChange::Reloaded));
    }

    pub(super) fn state_has_free(&self, bytes: u64) {
        show_bytes(&self.state_free, bytes);
    }

    pub(super) fn state_takes(&self, bytes: u64) {
        show_bytes(&self.state_size, bytes);
    }

    pub(super) fn loop_turned(&self, at: Timestamp) {
        self.loop_last_turn.set(seconds(at));
    }
}
