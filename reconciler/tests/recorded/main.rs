//! What people and scripts see of the program, recorded: it may be rebuilt inside, and this may not change.
//!
//! The program is a black box here, as it is installed: its command line, its control socket and its pages, over the
//! prepared state of `scene/`. What it answers is in `outputs/`, text compared exactly and JSON as values.
//! `UPDATE_RECORDED=1 cargo test -p reconciler --test recorded` writes `outputs/` anew, so that a change shows what it
//! changes; `scene/state.sql` is never made anew, because a daemon of that time has left it.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "the tests start the program itself, in real time, and fail by panicking"
)]

mod asked;
mod daemon;
mod database;
mod http;
mod normal;
mod record;
mod scene;
mod sshd;

mod answering;
mod configured;
mod documents;
mod helped;
mod orders;
mod planned;
mod refused;
mod seen;
mod served;
