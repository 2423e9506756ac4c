//! What is done on a host, over a connection to it, by scripts that run there: POSIX sh, each beside its
//! Rust file.

pub(crate) mod activate;
pub(crate) mod collect;
pub(crate) mod observation;
pub(crate) mod observe;
pub(crate) mod platform;
pub(crate) mod reboot;
mod script;
pub(crate) mod switchable;
