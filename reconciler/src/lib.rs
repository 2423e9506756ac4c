//! Decides: compares the wish with the world, and tells the hands; the binary `reconcile`.
//!
//! # Layout
//!
//! - Pure: [`decide`] what to do about a host, [`memory`] and backoff, [`schedule`] when, [`follow`]
//!   what a branch's new tip means, [`window`] when hosts may be changed, [`reboot`] whether a host may
//!   be rebooted, [`store_care`] when garbage is collected and what is kept.
//! - The loop: [`runner`] runs a [`pass`] over each host; [`repository`] looks at branches;
//!   [`evaluations`] are shared by hosts; [`deployment`] builds and copies, [`activation`] activates
//!   with the [`proof`] and reads back; [`refuge`] is where a host stays meanwhile, [`brake`] what keeps the others from it; [`rebooting`] reboots it
//!   when that is due; [`collecting`] takes the garbage away; [`remember`] writes down what came of an [`attempt`]; [`supersede`] ends what
//!   nobody wants any more. All work on the [`world`].
//! - Persons: [`requests`], [`rollback`] and [`plan`], the same through the [`http`] control socket and alone;
//!   [`api`] is their words; [`cli`] their command line.
//! - Around it: [`config`], [`metrics`], [`room`], [`status`], [`daemon`], [`service_manager`].

pub mod activation;
pub mod api;
pub mod attempt;
pub mod brake;
pub mod cli;
pub mod clock;
pub mod collecting;
pub mod config;
pub mod daemon;
pub mod decide;
pub mod deployment;
pub mod desired;
pub mod doorbell;
pub mod evaluations;
pub mod follow;
pub mod http;
pub mod lock;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod orders;
pub mod outside;
pub mod pass;
pub mod plan;
pub mod progress;
pub mod proof;
pub mod proven;
pub mod pulse;
pub mod reboot;
pub mod rebooting;
pub mod refuge;
pub mod remember;
pub mod repository;
pub mod requests;
pub mod rollback;
pub mod room;
pub mod runner;
pub mod schedule;
pub mod service_manager;
pub mod status;
pub mod store_care;
pub mod supersede;
#[cfg(test)]
mod testing;
pub mod trust;
pub mod window;
pub mod world;
