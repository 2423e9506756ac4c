//! What is shipped around the program, each with the real tool that takes it.

mod aarch64;
mod alone;
mod chart;
mod controller;
mod dashboards;
mod debian;
mod entrypoint;
mod image;
mod nix;
mod notify;
mod ssh;
mod store;
mod systemd;
mod tunnel;
