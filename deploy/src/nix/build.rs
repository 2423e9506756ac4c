//! From a derivation to a toplevel in a store, kept from the garbage collector.

mod error;
mod here;
mod kept;
mod root;
mod target;

use std::time::Duration;

use crate::build_on::BuildOn;
use crate::nix::Nix;
use crate::nix::output::Evaluated;
use crate::ssh::Connection;
use crate::toplevel::Toplevel;

pub use error::BuildError;
pub use kept::BuildRoot;

/// One host's build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// The host's name: the folder of its GC roots.
    pub host: String,
    /// The commit: the GC root's name.
    pub revision: String,
    /// What to build.
    pub evaluated: Evaluated,
    /// Where.
    pub on: BuildOn,
    /// How long it may take in all.
    pub timeout: Duration,
}

impl Nix {
    /// Builds a host's system and keeps it from the garbage collector, here as
    /// `<gc_roots>/<host>/<revision>` until [`Nix::let_go`], on the host by one root for what was
    /// built last.
    ///
    /// `target` is the connection to the host, for [`BuildOn::Target`]. Dropping the future ends the
    /// build with all of its processes.
    pub async fn build(
        &self,
        request: &BuildRequest,
        target: Option<&Connection>,
    ) -> Result<Toplevel, BuildError> {
        match &request.on {
            BuildOn::Here => self.build_here(request).await,
            BuildOn::Builder(builder) => self.build_on_builder(request, builder).await,
            BuildOn::Target => {
                let target = target.ok_or(BuildError::NoTarget)?;
                self.build_on_target(request, target).await
            }
        }
    }
}
