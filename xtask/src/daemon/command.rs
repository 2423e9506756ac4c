//! What a person runs beside the daemon: `reconcile` with its config.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::{Daemon, TEMPORARY};
use crate::process::{finish, said, undisturbed};

impl Daemon {
    /// Runs `reconcile` with arguments and this daemon's config.
    ///
    /// # Errors
    /// When it cannot be started. How the command ends is in the answer.
    pub fn cli(&self, arguments: &[&str]) -> Result<Output> {
        finish(&mut self.command(arguments))
    }

    /// `reconcile` with arguments and this daemon's config, for a test to run its own way.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.reconcile(&[]);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config_file());
        command
    }

    /// Runs `reconcile` with arguments and `--json`, and reads what it says.
    ///
    /// # Errors
    /// When it fails or says no JSON.
    pub fn cli_json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let output = self.cli(&[arguments, &["--json"]].concat())?;
        ensure!(
            output.status.success(),
            "reconcile {} ended with {}: {}",
            arguments.join(" "),
            output.status,
            said(&output)
        );
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("not JSON: {}", said(&output)))
    }

    /// `reconcile status --json`.
    ///
    /// # Errors
    /// As [`Daemon::cli_json`].
    pub fn status(&self) -> Result<serde_json::Value> {
        self.cli_json(&["status"])
    }

    /// `reconcile history --json`.
    ///
    /// # Errors
    /// As [`Daemon::cli_json`].
    pub fn history(&self) -> Result<serde_json::Value> {
        self.cli_json(&["history"])
    }

    /// `reconcile` in surroundings of its own, begun by words that may come before it.
    pub(super) fn reconcile(&self, through: &[String]) -> Command {
        let mut command = match through.split_first() {
            None => undisturbed(&self.program),
            Some((first, words)) => {
                let mut command = undisturbed(Path::new(first));
                command.args(words).arg(&self.program);
                command
            }
        };
        command
            .env("TMPDIR", self.directory().join(TEMPORARY))
            .envs(self.environment.iter().cloned());
        command
    }
}
