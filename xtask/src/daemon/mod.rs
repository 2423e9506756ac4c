//! The daemon under test: `reconcile serve` as a child process, with a config for a fleet and a forge.

mod answers;
mod child;
mod command;
mod config;
mod metrics;
mod prepare;

pub use child::Daemon;
pub use config::Config;
pub use metrics::{Metrics, Sample};
pub use prepare::SECRET;
