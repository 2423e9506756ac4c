//! Chores, as `cargo xtask <chore>`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum as _};
use xtask::chores::bench::{self, Measuring};
use xtask::chores::demo::{self, Afterwards};
use xtask::chores::dist::{self, Machine};
use xtask::chores::simulate::{self, Simulation};
use xtask::chores::test::{self, Suite};
use xtask::chores::{deb, hosts, imports, star};
use xtask::forge::{self, RECEIVE_CHORE};
use xtask::{bootstrap, claim, workspace};

/// Chores of the project.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check format, lints and who depends on whom, and run all tests on real hosts.
    Test {
        /// Also run the tests that take long.
        #[arg(long)]
        full: bool,
    },
    /// Simulate days of a fleet, and look for what must not happen.
    Simulate(Simulation),
    /// Show the product at work on three hosts.
    Demo {
        /// End after the story instead of staying until Ctrl-C.
        #[arg(long)]
        once: bool,
    },
    /// Measure what the product costs, beside a pipeline written by hand.
    Bench {
        /// This program is the release that measures.
        #[arg(long, hide = true)]
        here: bool,
    },
    /// Boot the test bed's hosts and keep them until Ctrl-C.
    Hosts {
        /// Their names; without any, all four.
        names: Vec<String>,
    },
    /// Make the Debian package, into target/deb.
    Deb,
    /// Make programs that stand alone, into target/dist.
    Dist {
        /// For which machines; without any, for all.
        #[arg(value_enum)]
        machines: Vec<Machine>,
    },
    /// Install what the test bed needs (Debian, as root).
    Bootstrap,
    /// Check who depends on whom: crates, floors, files.
    Star,
    /// Clean what killed runs of the test bed left behind.
    Sweep,
    /// What a test repository's post-receive runs.
    #[command(name = RECEIVE_CHORE, hide = true)]
    ForgeReceive {
        /// The bare repository.
        repository: PathBuf,
    },
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    })
}

/// What went wrong in one sentence, without the stack that `RUST_BACKTRACE` would add.
#[expect(
    clippy::print_stderr,
    reason = "a chore talks to the person who started it"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// The files that were made, one a line.
#[expect(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]
fn show(files: &[PathBuf]) -> Result<()> {
    for file in files {
        println!("{}", file.display());
    }
    Ok(())
}

fn run() -> Result<ExitCode> {
    let done = match Arguments::parse().chore {
        Chore::Simulate(simulation) => return simulate::simulate(&simulation),
        Chore::Test { full } => test::test(if full { Suite::Full } else { Suite::Usual }),
        Chore::Demo { once } => demo::demo(if once {
            Afterwards::Leave
        } else {
            Afterwards::Stay
        }),
        Chore::Bench { here } => bench::bench(if here {
            Measuring::Here
        } else {
            Measuring::Release
        }),
        Chore::Hosts { names } => hosts::hosts(&names),
        Chore::Deb => show(&[deb::deb()?]),
        Chore::Dist { machines } if machines.is_empty() => {
            show(&dist::dist(Machine::value_variants())?)
        }
        Chore::Dist { machines } => show(&dist::dist(&machines)?),
        Chore::Bootstrap => bootstrap::bootstrap(),
        Chore::Star => {
            star::check(&workspace::root()).and_then(|()| imports::check(&workspace::root()))
        }
        Chore::Sweep => claim::sweep_leftovers(),
        Chore::ForgeReceive { repository } => forge::receive(&repository, std::io::stdin().lock()),
    };
    done.map(|()| ExitCode::SUCCESS)
}
