//! The operator's surface over HTTP: metrics and health on one address, `/v1` on the control socket.

pub mod client;
pub mod control;
pub mod operator;
