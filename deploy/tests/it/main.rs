//! The hands, on real hosts, sshds and stores, and the scripts on folders that stand for hosts.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start real programs, wait in real time, and fail by panicking"
)]

mod activation;
mod build_on;
mod collect;
mod collect_script;
mod commands;
mod connections;
mod copy;
mod evaluate_and_build;
mod fakehost;
mod fleet;
mod interrupted;
mod lock_holder;
mod logins;
mod nix_world;
mod observe_script;
mod plain_data;
mod private_inputs;
mod reboot_script;
mod sshd;
mod store_care;
mod supervisor;
mod supervisor_boot;
mod supervisor_guards;
mod supervisor_health;
mod supervisor_proof;
mod supervisor_protocol;
mod supervisor_race;
mod supervisor_specialisation;
mod supervisor_switch;
mod token_server;
mod whose_fault;
