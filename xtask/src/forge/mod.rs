//! A forge: real bare repositories that send deliveries as Gitea 1.26 does, and serve git over SSH to a deploy key.

mod commit;
mod delivery;
mod hook;
mod payload;
mod receive;
mod repository;
mod sshd;

use std::path::Path;

use anyhow::Result;

pub use commit::ZEROS;
pub use delivery::Delivery;
pub use hook::{ContentType, Delivering, Event, Hook, Settings};
pub use payload::{Change, Test};
pub use receive::{CHORE as RECEIVE_CHORE, receive};
use repository::HOOK_ERRORS;
pub use repository::Repository;
pub use sshd::free_port;

use crate::claim::Claim;
use crate::workspace::binary;

/// A forge of one's own until it is dropped.
#[derive(Debug)]
pub struct Forge {
    claim: Claim,
    server: sshd::GitServer,
}

impl Forge {
    /// Starts one without repositories.
    ///
    /// # Errors
    /// When sshd does not start.
    pub fn start() -> Result<Self> {
        let claim = Claim::new()?;
        let folder = claim.directory();
        let server = sshd::GitServer::start(&folder, &folder.join("repositories"))?;
        Ok(Self { claim, server })
    }

    /// Makes an empty repository, `owner/name`, with the default branch `main`.
    ///
    /// # Errors
    /// When git or the disk says no.
    pub fn create(&self, full_name: &str) -> Result<Repository> {
        let folder = self.claim.directory();
        let bare = folder.join("repositories").join(format!("{full_name}.git"));
        let work = folder.join("work").join(full_name);
        let settings = Settings {
            full_name: full_name.to_owned(),
            root_url: "http://127.0.0.1:3300".to_owned(),
            ssh_url: self.url(full_name),
            default_branch: "main".to_owned(),
            hooks: Vec::new(),
            delivering: Delivering::Sent,
        };
        let post_receive = format!(
            "#!/bin/sh\nexec '{}' {RECEIVE_CHORE} \"$PWD\" 2> {HOOK_ERRORS}\n",
            binary("xtask")?.display()
        );
        Repository::make(&bare, &work, &settings, &post_receive)
    }

    /// Where a repository of this forge is fetched from.
    #[must_use]
    pub fn url(&self, full_name: &str) -> String {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
            .ok()
            .flatten();
        let user = user.map_or_else(|| "git".to_owned(), |user| user.name);
        format!(
            "ssh://{user}@127.0.0.1:{}/{full_name}.git",
            self.server.port
        )
    }

    /// The private key that may fetch every repository.
    #[must_use]
    pub fn deploy_key(&self) -> &Path {
        &self.server.deploy_key
    }

    /// The forge's own host key, for `known_hosts`.
    #[must_use]
    pub fn known_hosts(&self) -> &Path {
        &self.server.known_hosts
    }

    /// Takes git over SSH away; deliveries go on.
    ///
    /// # Errors
    /// When sshd does not end.
    pub fn stop_ssh(&mut self) -> Result<()> {
        self.server.stop()
    }

    /// Gives it back, on the port that it had.
    ///
    /// # Errors
    /// When sshd does not start.
    pub fn start_ssh(&mut self) -> Result<()> {
        self.server.listen()
    }
}
