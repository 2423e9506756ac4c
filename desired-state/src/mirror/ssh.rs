//! Lets libgit2 fetch through the OpenSSH client.
//!
//! libgit2's own SSH reads neither `ssh_config` nor the known hosts as OpenSSH does, knows no `ProxyJump`, and its
//! waits cannot be ended. So this crate builds libgit2 without SSH and registers a transport of its own, under a
//! scheme of its own. libgit2 keeps its transports in one list for the whole process, and what it passes to one is
//! the URL and nothing else. Therefore every fetch enters its settings into a list under a number that is never used
//! twice, and fetches the URL `reconcile-ssh://NUMBER/`: two fetches at a time cannot see one another's settings.
//!
//! # Layout
//!
//! `command` the command line · `call` one fetch, and the list of them · `child` its process · `transport` what
//! libgit2 sees.

mod call;
mod child;
mod command;
mod transport;

pub(super) use call::{Registered, SshReport};
pub(super) use command::SshCommand;
pub(super) use transport::register;
