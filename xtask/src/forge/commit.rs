//! Commits, as payloads have them.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::git::Git;

/// "No ref", as git and Gitea write it.
pub const ZEROS: &str = "0000000000000000000000000000000000000000";

/// A commit as a payload has it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Commit {
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
pub(super) struct Person {
    pub name: String,
    pub email: String,
    pub username: String,
}

/// What Gitea says of a commit's signature; only the API's test delivery has it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verification {
    pub verified: bool,
    pub reason: String,
    pub signature: String,
    pub signer: Option<String>,
    pub payload: String,
}

impl Git {
    /// A commit id for a name, or `None` when there is none.
    pub(super) fn commit_id(&self, name: &str) -> Option<String> {
        self.run(&[
            "rev-parse",
            "--quiet",
            "--verify",
            &format!("{name}^{{commit}}"),
        ])
        .ok()
    }

    /// Reads a commit with its files; `web` is the repository's page.
    pub(super) fn read_commit(&self, id: &str, web: &str) -> Result<Commit> {
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
