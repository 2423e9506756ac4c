//! The stores of Nix: what is free, and what was collected.

use desired_state::{Collection, CollectionResult};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::host::remove_where;
use super::register;

/// The label of the store of the machine that we run on; those of hosts are their names.
pub const CONTROLLER: &str = "controller";

/// What is labelled `store`.
#[derive(Debug)]
pub(super) struct StoreMetrics {
    free: IntGaugeVec,
    collections: IntCounterVec,
    freed: IntCounterVec,
}

impl StoreMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            free: register(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "reconcile_store_free_bytes",
                        "What is free where the store of Nix is: on a host, when it was last seen.",
                    ),
                    &["store"],
                ),
            )?,
            collections: register(
                registry,
                IntCounterVec::new(
                    Opts::new(
                        "reconcile_store_collections_total",
                        "Garbage collections of ours that ended, by how they ended.",
                    ),
                    &["store", "result"],
                ),
            )?,
            freed: register(
                registry,
                IntCounterVec::new(
                    Opts::new(
                        "reconcile_store_freed_bytes_total",
                        "What garbage collections of ours have freed.",
                    ),
                    &["store"],
                ),
            )?,
        };
        metrics.begin(CONTROLLER);
        Ok(metrics)
    }

    /// Shows the counters of a store before anything is counted, so that the first collection is an increase.
    pub(super) fn begin(&self, store: &str) {
        for result in [CollectionResult::Done, CollectionResult::Failed] {
            let labels = [store, result.label()];
            self.collections.with_label_values(&labels).inc_by(0);
        }
        self.freed.with_label_values(&[store]).inc_by(0);
    }

    pub(super) fn show_free(&self, store: &str, bytes: u64) {
        self.free
            .with_label_values(&[store])
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn ended(&self, store: &str, collection: &Collection) {
        self.collections
            .with_label_values(&[store, collection.result.label()])
            .inc();
        self.freed
            .with_label_values(&[store])
            .inc_by(collection.freed);
    }

    pub(super) fn forget(&self, host: &str) {
        remove_where(&self.free, "store", host);
        remove_where(&self.collections, "store", host);
        remove_where(&self.freed, "store", host);
    }
}
