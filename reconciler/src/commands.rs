//! What a person can ask for, carried out on the context: the same for a running daemon and for a
//! command line that works alone.

pub mod error;
pub mod follow;
pub mod hosts;
pub mod plan;
pub mod reconcile;
pub mod rollback;
pub mod show;
pub mod suspend_and_unpin;
#[cfg(test)]
mod tests;
