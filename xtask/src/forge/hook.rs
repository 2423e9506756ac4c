//! What a repository's hooks are, and the file that says so to git's post-receive.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A webhook of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Where deliveries go.
    pub url: String,
    /// Signs them; empty gives Gitea's hollow signatures.
    pub secret: String,
    /// How the body is written.
    pub content_type: ContentType,
    /// The hook's own `Authorization` header.
    pub authorization: Option<String>,
    /// What it is told.
    pub events: Vec<Event>,
}

impl Hook {
    /// A JSON hook for pushes, new and deleted branches and tags.
    #[must_use]
    pub fn new(url: &str, secret: &str) -> Self {
        Self {
            url: url.to_owned(),
            secret: secret.to_owned(),
            content_type: ContentType::Json,
            authorization: None,
            events: vec![Event::Push, Event::Create, Event::Delete],
        }
    }
}

/// How a hook's body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentType {
    /// `application/json`: the JSON itself.
    Json,
    /// `application/x-www-form-urlencoded`: `payload=` and the JSON; the signature is over the JSON all the same.
    Form,
}

impl ContentType {
    /// The `Content-Type` header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// What a delivery tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// Commits, or a tag.
    Push,
    /// A new branch or tag.
    Create,
    /// A deleted branch or tag.
    Delete,
}

impl Event {
    /// The `X-Gitea-Event` header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Create => "create",
            Self::Delete => "delete",
        }
    }
}

/// What the forge knows of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `owner/name`.
    pub full_name: String,
    /// The forge's own address, without a slash at the end.
    pub root_url: String,
    /// Where the repository is fetched from.
    pub ssh_url: String,
    /// The branch that HEAD names.
    pub default_branch: String,
    /// In the order in which they are told.
    pub hooks: Vec<Hook>,
    /// Whether deliveries leave the house.
    pub delivering: Delivering,
}

/// Whether deliveries leave the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivering {
    /// They are sent.
    Sent,
    /// They are written to the log and lost, as when Gitea dies between its database and its call.
    Lost,
}

impl Settings {
    /// The repository's page.
    pub(super) fn web(&self) -> String {
        format!("{}/{}", self.root_url, self.full_name)
    }

    pub(super) fn read(bare: &Path) -> Result<Self> {
        let path = file(bare);
        let text = fs::read(&path)
            .with_context(|| format!("no repository of this forge: {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Replaces the file whole, because a push may be reading it.
    pub(super) fn write(&self, bare: &Path) -> Result<()> {
        let new = bare.join("testbed-forge.new");
        fs::write(&new, serde_json::to_string_pretty(self)?)?;
        fs::rename(new, file(bare))?;
        Ok(())
    }
}

fn file(bare: &Path) -> PathBuf {
    bare.join("testbed-forge.json")
}
