//! What is shipped around the program, each with the real tool that takes it.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy only excepts the tests themselves"
)]

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
#[path = "../push/scene.rs"]
#[allow(dead_code, reason = "shared with other stories, which use more of it")]
mod scene;
#[path = "../drift/settled.rs"]
#[allow(dead_code, reason = "shared with other stories, which use more of it")]
mod settled;
mod ssh;
mod store;
mod systemd;
mod tunnel;
