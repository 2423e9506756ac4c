//! What a person runs beside the daemon: `reconcile` with its config.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::child::Daemon;
use crate::process::{finish, said};

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
}
