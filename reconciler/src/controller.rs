//! When and for whom: the loop, the sources, deliveries, and one reconciliation from goal to record.

pub mod branches;
pub mod deliveries;
pub mod own_store;
pub mod reconcile;
pub mod runner;
pub mod sources;
pub mod upkeep;
