//! Days of a simulated fleet in seconds: the real loop, execution, state and planning over simulated ports, in tokio's
//! paused time, all of it drawn from one seed.
//!
//! - `generator`, `clock`, `story`, `life`: chance, time, what is told, and where the controller may be killed.
//! - `plan`, `systems`, `git`, `host`, `machine`, [`world`]: what there is.
//! - `ledger`, [`invariants`]: what is known by those who look on, and what has to hold.
//! - `ports`, `controller`: the real program over all that.
//! - `forge`, `people`, `mishaps`, `calm`: what happens; [`run`] has it happen.

mod calm;
mod clock;
pub mod controller;
mod forge;
mod generator;
mod git;
mod host;
pub mod invariants;
pub mod ledger;
mod life;
mod machine;
mod mishaps;
mod people;
pub mod plan;
mod ports;
pub mod run;
pub mod story;
mod systems;
pub mod world;

#[cfg(test)]
mod tests;
