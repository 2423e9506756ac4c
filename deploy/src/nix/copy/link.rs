//! A host's store, reached over the connection that is there.

use std::path::Path;
use std::time::Duration;

use super::error::CopyError;
use crate::command::{Command, Patience};
use crate::destination::Sudo;
use crate::nix::environment::{self, Variable};
use crate::nix::{Nix, arguments};
use crate::ssh::{Connection, SessionPermit};

/// A host's store as Nix reaches it: over the connection that is there.
pub(crate) struct Link {
    /// The store's URL.
    pub(crate) store: String,
    ssh_options: String,
    /// Nix uses one session of the connection.
    _session: SessionPermit,
}

impl Link {
    /// Waits for a free session.
    pub(crate) async fn to(
        connection: &Connection,
        ssh_config: Option<&Path>,
    ) -> Result<Self, CopyError> {
        let destination = connection.destination();
        let address = &destination.address;
        let ssh_options = environment::ssh_options(
            ssh_config,
            arguments::ssh_port(address),
            Some(connection.control_socket()),
        )
        .ok_or(CopyError::AwkwardPath)?;
        let store = match destination.sudo {
            Sudo::No | Sudo::ExceptCopy => arguments::store_url(address),
            Sudo::Yes => arguments::store_url_by_sudo(address),
        };
        let session = connection.reserve_session().await.map_err(CopyError::Ssh)?;
        Ok(Self {
            store,
            ssh_options,
            _session: session,
        })
    }

    /// The variables that make Nix use the connection.
    pub(crate) fn variables(&self) -> Vec<Variable> {
        vec![("NIX_SSHOPTS".to_owned(), Some(self.ssh_options.clone()))]
    }
}

impl Nix {
    /// Runs `nix copy`.
    pub(crate) async fn transfer_to(
        &self,
        arguments: Vec<String>,
        link: &Link,
        to: &Connection,
        timeout: Duration,
        patience: Patience,
    ) -> Result<(), CopyError> {
        let mut command = Command::new("nix", timeout).arguments(arguments);
        command.patience = patience;
        let finished = self
            .run_command(command, link.variables())
            .await
            .map_err(CopyError::Nix)?;
        if finished.status.success() {
            Ok(())
        } else {
            Err(CopyError::of(&finished, &to.destination().address))
        }
    }
}
