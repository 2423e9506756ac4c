//! `/v1` on the control socket, its client, and metrics and health for the operator's network.

pub mod client;
pub mod metrics_and_health;
pub mod routes;
