//! `cargo xtask test`: everything that has to hold, and the line that says whether it does.

use std::io::{BufRead, BufReader, IsTerminal};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::{imports, star};
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

/// What came of the tests, over all their programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Format, lints, who depends on whom, and all tests on two fleets of real hosts.
///
/// # Errors
/// At the first of these that fails.
#[expect(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]
pub fn test(suite: Suite) -> Result<()> {
    match suite {
        Suite::Usual => bootstrap::bootstrap()?,
        Suite::Full => bootstrap::bootstrap_long()?,
    }
    let workspace = root();
    step("format", cargo(&workspace, &["fmt", "--all", "--check"]))?;
    step(
        "lints",
        cargo(
            &workspace,
            &[
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        ),
    )?;
    println!("== star of crates");
    star::check(&workspace)?;
    println!("== floors and circles");
    imports::check(&workspace)?;
    if finish(&mut cargo(&workspace, &["deny", "--version"]))?
        .status
        .success()
    {
        step("cargo deny", cargo(&workspace, &["deny", "check", "bans"]))?;
    }
    step(
        "build",
        cargo(&workspace, &["build", "--quiet", "--workspace", "--bins"]),
    )?;
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
    let mut command = cargo(&workspace, &["test", "--workspace", "--no-fail-fast"]);
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

fn cargo(workspace: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(workspace)
        .args(arguments)
        .stdin(Stdio::null());
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
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

impl Count {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`; other lines count nothing.
    fn add(&mut self, line: &str) {
        let Some((_, numbers)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in numbers.split("; ") {
            match part
                .split_once(' ')
                .map(|(number, what)| (number.parse().unwrap_or(0), what))
            {
                Some((number, "passed")) => self.passed += number,
                Some((number, "failed")) => self.failed += number,
                Some((number, "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_programs_are_added() {
        let mut count = Count::default();
        count.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        count.add("test a ... ok");
        count.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        assert_eq!(
            count,
            Count {
                passed: 4,
                failed: 2,
                ignored: 1
            }
        );
    }
}
