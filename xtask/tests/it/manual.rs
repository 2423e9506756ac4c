//! A person at the command line: with a daemon and without, one host and all of them, and what they are told.

mod answers;
mod asking;
mod running;

use std::process::Output;
use std::time::Duration;

use crate::stage::{Stage, never_built};
use anyhow::Result;
use xtask::flake::System;
use xtask::fleet::{Host, count_begun};
use xtask::forge::Delivering;

/// What a command that has nothing to wait for may take, on a machine that does much else.
pub const AT_ONCE: Duration = Duration::from_secs(10);

/// A stage whose daemon does not run and whose pushes nobody is told of: only a person finds them.
pub fn alone(names: &[&str]) -> Result<Stage> {
    let stage = Stage::prepare(names)?;
    stage.daemon.rewrite_config()?;
    stage.repository.set_delivering(Delivering::Lost)?;
    Ok(stage)
}

/// Runs `reconcile` and asserts its exit code; gives all that it said.
pub fn says(stage: &Stage, code: i32, arguments: &[&str]) -> Result<String> {
    let output = stage.daemon.cli(arguments)?;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    Ok(text)
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A system that takes its time.
pub fn slow(name: &str, seconds: u32) -> Result<System> {
    Ok(System {
        seconds,
        ..never_built(name)?
    })
}

/// How often a system was activated on a host.
pub fn begun(host: &Host, toplevel: &str) -> Result<usize> {
    Ok(count_begun(&host.activations()?, "test", toplevel))
}
