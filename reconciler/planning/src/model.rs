//! What is known and said of a host: plain data.

pub mod attempt;
pub mod backoff;
pub mod cause;
pub mod decision;
pub mod goal;
pub mod health_checks;
pub mod history;
pub mod host_state;
pub mod order;
pub mod reboot;
pub mod report;
pub mod requests;
pub mod spec;
pub mod status;
