//! What runs in a network namespace.

use std::process::Command;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process;
use crate::wait::wait_until;

/// Kills what runs in a network namespace, and waits until it is gone.
pub(crate) fn empty(namespace: &str) -> Result<()> {
    wait_until(
        "what runs in a network namespace to be gone",
        process::GONE,
        || {
            let pids = processes_in(namespace)?;
            for pid in &pids {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            Ok(pids)
        },
        Vec::is_empty,
    )?;
    Ok(())
}

/// The processes of a network namespace, as this machine numbers them; zombies do not count.
pub(crate) fn processes_in(namespace: &str) -> Result<Vec<i32>> {
    let text = process::run(Command::new("ip").args(["netns", "pids", namespace]))?;
    Ok(text
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .filter(|pid| process::started(*pid).is_some())
        .collect())
}
