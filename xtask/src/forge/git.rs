//! The real git, kept away from the settings of whoever runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::process::run;

/// "No ref", as git and Gitea write it.
pub const ZEROS: &str = "0000000000000000000000000000000000000000";

/// A folder in which git runs: a bare repository or a working tree.
#[derive(Debug, Clone)]
pub struct Git {
    folder: PathBuf,
}

/// A commit as a payload has it.
#[derive(Debug, Clone, Serialize)]
pub struct Commit {
    pub id: String,
    pub message: String,
    pub url: String,
    pub author: Person,
    pub committer: Person,
    pub verification: Option<Verification>,
    pub timestamp: String,
    pub added: Option<Vec<String>>,
    pub removed: Option<Vec<String>>,
    pub modified: Option<Vec<String>>,
}

/// Who wrote a commit, as a payload has it.
#[derive(Debug, Clone, Serialize)]
pub struct Person {
    pub name: String,
    pub email: String,
    pub username: String,
}

/// What Gitea says of a commit's signature; only the API's test delivery has it.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    pub verified: bool,
    pub reason: String,
    pub signature: String,
    pub signer: Option<String>,
    pub payload: String,
}

impl Git {
    /// git in a folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
        }
    }

    /// Where.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A git command with an identity of its own.
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
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let text = run(&mut self.command(arguments))?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// A commit id for a name, or `None` when there is none.
    pub fn commit_id(&self, name: &str) -> Option<String> {
        self.run(&[
            "rev-parse",
            "--quiet",
            "--verify",
            &format!("{name}^{{commit}}"),
        ])
        .ok()
    }

    /// Reads a commit with its files; `web` is the repository's page.
    pub fn read_commit(&self, id: &str, web: &str) -> Result<Commit> {
        let text = self.run(&[
            "show",
            "--no-patch",
            "--format=%P%x00%an%x00%ae%x00%cn%x00%ce%x00%aI%x00%B",
            id,
        ])?;
        let mut fields = text.splitn(7, '\0').map(str::to_owned);
        let mut next = || {
            fields
                .next()
                .with_context(|| format!("git show says too little of {id}"))
        };
        let parents = next()?;
        let author = Person {
            name: next()?,
            email: next()?,
            username: String::new(),
        };
        let committer = Person {
            name: next()?,
            email: next()?,
            username: String::new(),
        };
        let timestamp = next()?.replace("+00:00", "Z");
        let message = next()?;
        let (added, removed, modified) =
            self.files(parents.split(' ').next().unwrap_or_default(), id)?;
        Ok(Commit {
            id: id.to_owned(),
            message,
            url: format!("{web}/commit/{id}"),
            author,
            committer,
            verification: None,
            timestamp,
            added: Some(added),
            removed: Some(removed),
            modified: Some(modified),
        })
    }

    /// What a commit added, removed and modified beside its first parent, renames off.
    fn files(&self, parent: &str, id: &str) -> Result<(Vec<String>, Vec<String>, Vec<String>)> {
        let mut arguments = vec![
            "diff-tree",
            "-r",
            "-z",
            "--no-commit-id",
            "--no-renames",
            "--name-status",
            "--root",
        ];
        if !parent.is_empty() {
            arguments.push(parent);
        }
        arguments.push(id);
        let (mut added, mut removed, mut modified) = (Vec::new(), Vec::new(), Vec::new());
        let text = self.run(&arguments)?;
        let mut words = text.split('\0');
        while let (Some(status), Some(path)) = (words.next(), words.next()) {
            match status {
                "A" => added.push(path.to_owned()),
                "D" => removed.push(path.to_owned()),
                "M" => modified.push(path.to_owned()),
                // Gitea lists a changed type nowhere.
                _ => {}
            }
        }
        Ok((added, removed, modified))
    }
}
