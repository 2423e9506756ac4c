//! The mirror against real parts: git repositories, sshd, an HTTPS server, and Nix.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "the tests start real servers, look at the real clock, and fail by panicking"
)]

mod damage;
mod files;
mod git_config;
mod https;
mod limits;
mod nix;
mod packs;
mod signatures;
mod ssh;
mod sshd;
mod support;
mod unfetched;
