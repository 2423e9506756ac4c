//! `cargo xtask simulate`: days of a simulated fleet in seconds.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use super::cargo::cargo;
use crate::workspace::root;

/// The package that simulates; a program of its own, built as a release, or days would take minutes.
const PACKAGE: &str = "simulation";

/// What is simulated.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Simulation {
    /// How many hosts the fleet has.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub hosts: u32,
    /// How many days pass.
    #[arg(long, value_name = "D", default_value_t = 2)]
    pub days: u32,
    /// What decides all that happens: the same seed is the same story.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// How many stories, with this seed and those after it.
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub seeds: u32,
}

/// Simulates, and gives the exit code of the program that does.
///
/// # Errors
/// When cargo cannot be started.
pub fn simulate(simulation: &Simulation) -> Result<ExitCode> {
    let status = command(&root(), simulation)
        .status()
        .context("cannot start cargo")?;
    // Without a code it was killed.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The command that simulates.
#[must_use]
pub fn command(workspace: &Path, simulation: &Simulation) -> Command {
    let mut command = cargo(
        workspace,
        &["run", "--quiet", "--release", "--package", PACKAGE, "--"],
    );
    command
        .args(["--hosts", &simulation.hosts.to_string()])
        .args(["--days", &simulation.days.to_string()])
        .args(["--seed", &simulation.seed.to_string()])
        .args(["--seeds", &simulation.seeds.to_string()]);
    command
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::process::describe;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        simulation: Simulation,
    }

    #[test]
    fn what_is_asked_for_is_handed_on_and_what_is_not_has_a_default() {
        let line = |words: &[&str]| {
            let line = Line::parse_from([&["simulate"], words].concat());
            describe(&command(Path::new("."), &line.simulation))
        };
        let cargo = "cargo run --quiet --release --package simulation --";
        assert_eq!(
            line(&[]),
            format!("{cargo} --hosts 10 --days 2 --seed 1 --seeds 1")
        );
        assert_eq!(
            line(&["--hosts", "3", "--days=7", "--seed", "42", "--seeds", "9"]),
            format!("{cargo} --hosts 3 --days 7 --seed 42 --seeds 9")
        );
    }
}
