//! `git` itself, as a child process: it fetches, and libgit2 only reads.
//!
//! git knows the operator's proxies, authorities and `ssh_config`, keeps up with servers, and can be ended at any
//! moment without a trace but files in the mirror that the next fetch clears away.
//!
//! # Layout
//!
//! `environment` what git is told, pure · `ssh` how it is to start ssh, pure · `child` its process · `said` what it
//! says, pure.

mod child;
mod environment;
mod said;
mod ssh;

pub(super) use child::{Ended, Failed, run};
pub(super) use environment::{SOURCE, environment};
pub(super) use said::Said;
