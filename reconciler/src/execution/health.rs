//! The health checks of a new system, as its host and as the controller look.

pub mod controller;
pub mod host;
