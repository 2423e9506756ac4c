//! The stores of Nix: what is free, and what was collected.

use desired_state::{Collection, CollectionResult};
use planning::model::spec::CONTROLLER;
use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::series::{counters, gauges, show_bytes};

const RESULTS: [CollectionResult; 2] = [CollectionResult::Done, CollectionResult::Failed];

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
            free: gauges(
                registry,
                "reconcile_store_free_bytes",
                "What is free where the store of Nix is: on a host, when it was last seen.",
                &["store"],
            )?,
            collections: counters(
                registry,
                "reconcile_store_collections_total",
                "Garbage collections of ours that ended, by how they ended.",
                &["store", "result"],
            )?,
            freed: counters(
                registry,
                "reconcile_store_freed_bytes_total",
                "What garbage collections of ours have freed.",
                &["store"],
            )?,
        };
        metrics.begin(CONTROLLER);
        Ok(metrics)
    }

    /// Shows the counters of a store before anything is counted, so that the first collection is an increase.
    pub(super) fn begin(&self, store: &str) {
        for result in RESULTS {
            self.collections.with_label_values(&[store, result.label()]);
        }
        self.freed.with_label_values(&[store]);
    }

    pub(super) fn show_free(&self, store: &str, bytes: u64) {
        show_bytes(&self.free.with_label_values(&[store]), bytes);
    }

    pub(super) fn ended(&self, store: &str, collection: &Collection) {
        self.collections
            .with_label_values(&[store, collection.result.label()])
            .inc();
        self.freed
            .with_label_values(&[store])
            .inc_by(collection.freed);
    }

    /// Removes all of a store. What is absent already is as good.
    pub(super) fn forget(&self, store: &str) {
        for result in RESULTS {
            let labels = [store, result.label()];
            let _ = self.collections.remove_label_values(&labels);
        }
        let _ = self.free.remove_label_values(&[store]);
        let _ = self.freed.remove_label_values(&[store]);
    }
}
