//! What is told of the program's own work: metrics, events, the log, and that it lives.

pub mod disk;
pub mod events;
pub mod liveness;
pub mod logging;
pub mod metrics;
