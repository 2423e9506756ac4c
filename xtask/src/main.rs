//! Chores, as `cargo xtask <chore>`.

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::bootstrap;
use xtask::fleet::{FLEET_VARIABLE, Fleet, HOSTS};

/// Chores of the project.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what the test bed needs (Debian, as root).
    Bootstrap,
    /// Boot the test bed's hosts and keep them until Ctrl-C.
    Hosts,
}

fn main() -> Result<()> {
    match Arguments::parse().chore {
        Chore::Bootstrap => bootstrap::bootstrap(),
        Chore::Hosts => hosts(),
    }
}

#[expect(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]
fn hosts() -> Result<()> {
    bootstrap::bootstrap()?;
    let fleet = Fleet::boot(&HOSTS)?;
    println!("{FLEET_VARIABLE}={}", fleet.file().display());
    loop {
        std::thread::park();
    }
}
