//! From this machine's store to a host's.

mod error;

pub use error::CopyError;

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::destination::Sudo;
use crate::nix::arguments;
use crate::nix::environment::{self, Variable};
use crate::runner::Nix;
use crate::space::{MinFree, Shortage};
use crate::ssh::{Connection, Privilege, RemoteCommand, SessionPermit, SshError};
use crate::toplevel::Toplevel;

/// Asks whether a path is valid. A path that is not there is answered without starting Nix; one that
/// is may still be half a copy, and only Nix knows (nix-store(1), `--check-validity`).
const CHECK: &str = "test -e \"$1\" && exec nix-store --check-validity \"$1\"";
/// Asking takes 30 ms and a round trip, on a slow host seconds.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

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
    /// Copies a toplevel with all that it needs, unless the host has it already, and only where it fits
    /// beside what has to stay free. It is signed before, where there is a key. `timeout` is for both.
    ///
    /// What is on the host afterwards is not yet on its disk: that is for the activation to see to.
    pub async fn copy(
        &self,
        toplevel: &Toplevel,
        to: &Connection,
        min_free: MinFree,
        timeout: Duration,
    ) -> Result<(), CopyError> {
        if is_valid_on(to, toplevel).await.map_err(CopyError::Ssh)? {
            return Ok(());
        }
        if min_free.is_checked()
            && let Some(shortage) = self
                .shortage_on(to, toplevel, min_free)
                .await
                .map_err(CopyError::Ssh)?
        {
            let Shortage {
                needed,
                free,
                reserve,
            } = shortage;
            return Err(CopyError::NoSpace {
                needed,
                free,
                reserve,
            });
        }
        let deadline = Instant::now() + timeout;
        self.sign(toplevel, timeout).await?;
        let link = Link::to(to, self.settings.ssh_config.as_deref()).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let copied = self
            .transfer_to(arguments::copy(toplevel, &link.store), &link, to, left)
            .await;
        match copied {
            Err(CopyError::SignatureLacking {
                address, detail, ..
            }) => Err(CopyError::SignatureLacking {
                address,
                public_key: self.public_key().await,
                detail,
            }),
            copied => copied,
        }
    }

    /// Runs `nix copy`.
    pub(crate) async fn transfer_to(
        &self,
        arguments: Vec<String>,
        link: &Link,
        to: &Connection,
        timeout: Duration,
    ) -> Result<(), CopyError> {
        let finished = self
            .run("nix", arguments, link.variables(), timeout)
            .await
            .map_err(CopyError::Nix)?;
        if finished.status.success() {
            Ok(())
        } else {
            Err(CopyError::of(&finished, &to.destination().address))
        }
    }
}

/// Whether a host has a toplevel with all that it needs: one round trip.
///
/// A host whose Nix cannot be asked is said not to have it; copying to it then tells why.
pub async fn is_valid_on(host: &Connection, toplevel: &Toplevel) -> Result<bool, SshError> {
    let check = RemoteCommand::new("/bin/sh")
        .arguments(["-c", CHECK, "sh", toplevel.as_str()])
        .privilege(Privilege::Root)
        .timeout(CHECK_TIMEOUT);
    Ok(host.run(check).await?.code == 0)
}
