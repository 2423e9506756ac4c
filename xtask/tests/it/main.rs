//! Everything with everything, on real hosts: a story a module.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy only excepts the tests themselves"
)]

mod crash;
mod drift;
mod forge;
mod hosts;
mod leftovers;
mod manual;
mod outcomes;
mod proof;
mod push;
mod reboot;
mod scene;
mod secrets;
mod settled;
mod ship;
mod stage;
