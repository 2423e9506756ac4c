//! The test bed: real hosts, a forge that speaks like Gitea, and the daemon between them.
//!
//! A story is a test in `xtask/tests/it`:
//!
//! ```no_run
//! use std::time::Duration;
//! use xtask::daemon::Daemon;
//! use xtask::flake::{Exit, System};
//! use xtask::fleet::Fleet;
//! use xtask::forge::Forge;
//!
//! # fn main() -> anyhow::Result<()> {
//! let fleet = Fleet::obtain()?; // the one that `cargo xtask test` booted, or one of its own
//! let hosts = fleet.lease(&["cyt-pi"])?; // nobody else's until dropped, and reset
//! let forge = Forge::start()?;
//! let repository = forge.create("infra-team/infra")?;
//! let mut daemon = Daemon::prepare(&forge, &repository, &[&hosts[0]])?;
//! *daemon.config.host("cyt-pi") += "\npolicy = \"enforce\"";
//! daemon.start()?;
//!
//! let revision = repository.deploy("main", "Second", &[("cyt-pi", System::new("2"))])?; // commit, push, deliver
//! let toplevel = repository.toplevel("cyt-pi", &revision)?;
//! daemon.wait_until_running(&hosts[0], &toplevel, Duration::from_secs(30))?;
//! assert_eq!(hosts[0].marker()?.as_deref(), Some("2"));
//!
//! let bad = System { exit: Exit::ActivationFails, ..System::new("3") };
//! repository.deploy("main", "Third", &[("cyt-pi", bad)])?;
//! daemon.kill()?; // kill -9
//! daemon.start()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! - [`fleet`]: hosts. [`fleet::Host`] is what a test does to one: log in, look, cut the power, unplug, reset.
//! - [`flake`]: the systems that they run, and every way in which one can misbehave.
//! - [`forge`]: repositories, webhooks, deliveries that are sent, lost, repeated; git over SSH with a deploy key.
//! - [`daemon`]: `reconcile serve`, its config, metrics, log and command line.
//! - [`emulation`]: hosts of another architecture. [`engine`]: a Docker engine, for the image.
//! - [`git`]: git as a test's person runs it. [`proxy`]: distance. [`wait`]: waiting for conditions. [`claim`]: why nothing is left behind.
//! - [`cache`]: what takes long to make. [`tools`]: programs that Debian does not have. [`bootstrap`], [`workspace`],
//!   [`chores`]: what `cargo xtask` does.
//!
//! # Rules
//!
//! - Hosts are leased, never just used: tests run at the same time, in threads and in processes.
//! - What a test sees of a host it sees by [`fleet::Host::console`], which works without the network that the test may have cut.
//! - A test that takes longer than half a minute is `#[ignore = "long"]`; `cargo xtask test --full` runs it.

mod binfmt;
pub mod bootstrap;
pub mod cache;
mod cgroup;
pub mod chores;
pub mod claim;
pub mod daemon;
pub mod emulation;
pub mod engine;
pub mod flake;
pub mod fleet;
pub mod forge;
pub mod git;
pub mod http;
mod mounts;
mod namespace;
pub mod process;
pub mod proxy;
pub mod tools;
pub mod wait;
pub mod workspace;
