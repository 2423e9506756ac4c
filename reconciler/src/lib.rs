//! Makes it happen, floor by floor: the program `reconcile`.
//!
//! What should happen is said by the crate `planning`, which can do nothing. Here are the floors, each importing only
//! from those below it (`[workspace.metadata.floors]` in the workspace's Cargo.toml; `cargo xtask test` checks it):
//!
//! - [`cli`]: the command line, one file a command.
//! - [`daemon`]: `reconcile serve`: its parts, its listeners, what it takes up meanwhile.
//! - [`api`]: `/v1` on the control socket, its client, metrics and health.
//! - [`commands`]: what a person can ask for, the same with a daemon and without one.
//! - [`controller`]: when and for whom: the loop, the sources, deliveries, one reconciliation from goal to record.
//! - [`execution`]: the steps on one host.
//! - [`state`]: what is remembered, as types.
//! - [`context`]: what all share: the ports to the outside, the queue, orders, registries.
//! - [`telemetry`]: metrics, events, the log, liveness.
//! - [`config`]: what the operator wrote in `reconcile.toml`.

pub mod api;
pub mod cli;
pub mod commands;
pub mod config;
pub mod context;
pub mod controller;
pub mod daemon;
mod error_chain;
pub mod execution;
pub mod state;
pub mod telemetry;
#[cfg(test)]
mod testing;
