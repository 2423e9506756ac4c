//! The steps on one host: observe, evaluate, build, copy, activate, check its health, reboot, collect garbage, record.

pub mod activate;
pub mod build_and_copy;
pub mod evaluate;
pub mod facts;
pub mod garbage;
pub mod health;
pub mod observe;
pub mod order;
pub mod pursue;
pub mod reboot;
pub mod reconciliation;
pub mod record;
pub mod rollout;
pub mod supersede;
mod witness;
