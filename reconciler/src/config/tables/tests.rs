//! The configuration as a whole: what is taken, what is refused, and in which words.

mod destinations;
mod example;
mod health_checks;
mod reboots;
mod refused;
mod store;
mod taken;
mod windows;
