//! From this machine's store to a host's.

mod error;
mod link;
mod validity;

use std::time::Duration;

use crate::command::Patience;
use crate::min_free::MinFree;
use crate::nix::space::Shortage;
use crate::nix::{Nix, arguments};
use crate::ssh::Connection;
use crate::toplevel::Toplevel;

pub use error::CopyError;
pub(crate) use link::Link;
pub use validity::is_valid_on;

impl Nix {
    /// Copies a toplevel with all that it needs, unless the host has it already, and only where it fits
    /// beside what has to stay free. It is signed before, where there is a key. `timeout` is for that, and then for
    /// each silence: a path that is taken over a slow link goes on, and one that was broken off begins anew.
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
        self.sign(toplevel, timeout).await?;
        let link = Link::to(to, self.settings.ssh_config.as_deref()).await?;
        let arguments = arguments::copy(toplevel, &link.store);
        let copied = self
            .transfer_to(arguments, &link, to, timeout, Patience::Silence)
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
}
