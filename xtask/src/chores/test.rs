//! `cargo xtask test`: everything that has to hold, and the line that says whether it does.

mod count;

use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use count::Count;

use super::cargo::cargo;
use super::simulate::{self, Simulation};
use super::{imports, lengths, star};
use crate::bootstrap;
use crate::claim::record_process;
use crate::fleet::{FLEET_VARIABLE, Fleet, HOSTS};
use crate::process::finish;
use crate::workspace::root;

/// Which tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// What every change has to pass.
    Usual,
    /// Also what takes long: tests with `#[ignore = "long"]`.
    Full,
}

impl Suite {
    /// The stories that are simulated: of the usual fleet, enough to meet what is rare.
    fn simulation(self) -> Simulation {
        Simulation {
            hosts: 10,
            days: 2,
            seed: 1,
            seeds: match self {
                Self::Usual => 50,
                Self::Full => 1_000,
            },
        }
    }
}

/// Format, lints, who depends on whom, simulated days, and all tests on two fleets of real hosts.
///
/// # Errors
/// At the first of these that fails.
pub fn test(suite: Suite) -> Result<()> {
    match suite {
        Suite::Usual => bootstrap::bootstrap()?,
        Suite::Full => bootstrap::bootstrap_long()?,
    }
    let workspace = root();
    look(&workspace)?;
    step(
        "build",
        cargo(&workspace, &["build", "--quiet", "--workspace", "--bins"]),
    )?;
    step(
        "simulate",
        simulate::command(&workspace, &suite.simulation()),
    )?;
    run_on_hosts(&workspace, suite)
}

/// What is seen without running anything of ours.
#[expect(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]
fn look(workspace: &Path) -> Result<()> {
    step("format", cargo(workspace, &["fmt", "--all", "--check"]))?;
    let mut clippy = cargo(workspace, &["clippy", "--quiet", "--workspace"]);
    clippy.args(["--all-targets", "--", "-D", "warnings"]);
    step("lints", clippy)?;
    println!("== star of crates");
    star::check(workspace)?;
    println!("== floors and circles");
    imports::check(workspace)?;
    println!("== lengths of files");
    lengths::check(workspace)?;
    if finish(&mut cargo(workspace, &["deny", "--version"]))?
        .status
        .success()
    {
        step("cargo deny", cargo(workspace, &["deny", "check", "bans"]))?;
    }
    Ok(())
}

/// All tests, on hosts of their own.
#[expect(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]
fn run_on_hosts(workspace: &Path, suite: Suite) -> Result<()> {
    println!("== hosts");
    // One test's hosts are another's wait.
    let fleets = [Fleet::boot(&HOSTS)?, Fleet::boot(&HOSTS)?];
    let files = fleets.each_ref().map(Fleet::file);
    println!(
        "== tests on {}",
        files
            .each_ref()
            .map(|file| file.display().to_string())
            .join(" ")
    );
    let mut command = cargo(workspace, &["test", "--workspace", "--no-fail-fast"]);
    // They wait for hosts most of the time.
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        command.env("RUST_TEST_THREADS", (2 * cores).to_string());
    }
    if suite == Suite::Full {
        command.args(["--", "--include-ignored"]);
    }
    command.env(FLEET_VARIABLE, std::env::join_paths(&files)?);
    let (count, status) = run_tests(&mut command, &fleets)?;
    drop(fleets);
    println!(
        "{} passed, {} failed, {} skipped",
        count.passed, count.failed, count.ignored
    );
    ensure!(status, "tests failed");
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]
fn step(name: &str, mut command: Command) -> Result<()> {
    println!("== {name}");
    if !command.status().context("cannot start cargo")?.success() {
        bail!("{name} failed");
    }
    Ok(())
}

/// Runs the tests, passes on what they say, and adds up what they tell at the end of each program; whether cargo was content comes with it.
#[expect(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]
fn run_tests(command: &mut Command, fleets: &[Fleet]) -> Result<(Count, bool)> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    // Tests without their hosts would only fail one after the other: they end when the hosts do.
    for fleet in fleets {
        record_process(&fleet.description().directory, child.id())?;
    }
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            count.add(&line);
            println!("{line}");
        }
    }
    Ok((count, child.wait()?.success()))
}
