//! The test bed, and the chores that use it.

pub mod bootstrap;
pub mod claim;
pub mod flake;
pub mod fleet;
pub mod process;
pub mod wait;
