//! Says what should happen to a host, and can do nothing: the model and the rules, with the time, chance and what was
//! found out as arguments.
//!
//! - [`model`]: what is known and said of a host: its goal, its state, a decision, an attempt.
//! - [`desired`] what is wanted, [`track`] what a branch's new tip means, [`decide`](decide::decide) what to do,
//!   [`drift`](drift::drift) what *there* means, [`fallback`] where a host belongs meanwhile, [`rollout`] what keeps a
//!   commit from it, [`maintenance`] when it may be changed, [`reboot`] and [`garbage`] what follows, [`conclude`]
//!   what came of an attempt, [`status`] how all that is shown.

pub mod conclude;
pub mod decide;
pub mod desired;
pub mod drift;
pub mod fallback;
pub mod garbage;
pub mod maintenance;
pub mod model;
pub mod reboot;
pub mod rollout;
pub mod status;
#[cfg(test)]
mod testing;
pub mod track;
