//! The tables of `reconcile.toml`, one file each: which keys they have, what is taken, and what holds where nothing is
//! said.

mod common;
mod destinations;
mod health_checks;
mod hosts;
mod log;
mod reboots;
mod repositories;
mod repository_url;
mod store;
#[cfg(test)]
mod tests;
mod top;
mod webhook;
mod windows;

pub use top::{load, parse};
