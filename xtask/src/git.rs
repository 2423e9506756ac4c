//! The real git, kept away from the settings of whoever runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::run;

/// A folder in which git runs: a bare repository or a working tree.
#[derive(Debug, Clone)]
pub struct Git {
    folder: PathBuf,
}

impl Git {
    /// git in a folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
        }
    }

    /// Where.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A git command with an identity of its own.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(&self.folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Ada Ops")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_COMMITTER_NAME", "Ada Ops")
            .env("GIT_COMMITTER_EMAIL", "ada@example.org")
            // Set in a hook: it names the repository that was pushed to, and would win over the folder.
            .env_remove("GIT_DIR")
            .env_remove("GIT_QUARANTINE_PATH")
            .args(arguments);
        command
    }

    /// Runs git; gives its standard output without the last newline.
    ///
    /// # Errors
    /// When git says no.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let text = run(&mut self.command(arguments))?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }
}
