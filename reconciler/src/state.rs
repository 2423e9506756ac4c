//! What is remembered of the fleet, as types.

pub mod history;
pub mod host;
pub mod lock;
pub mod status;
