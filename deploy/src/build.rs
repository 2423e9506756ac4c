//! From a derivation to a toplevel in a store, kept from the garbage collector.

mod error;
mod root;

use std::time::Duration;

use tokio::time::Instant;

use crate::build_on::BuildOn;
use crate::command::Finished;
use crate::copy::{CopyError, Link};
use crate::evaluate::Evaluated;
use crate::nix::{arguments, environment};
use crate::runner::{Buildable, Nix};
use crate::ssh::{Connection, Privilege, RemoteCommand};
use crate::toplevel::Toplevel;

pub use error::BuildError;
pub use root::BuildRoot;
use root::Root;

/// The GC root on a host of what was built there last. The activation makes its own; this one holds
/// the system in between.
const ROOT_ON_TARGET: &str = "/nix/var/nix/gcroots/reconcile-built";
/// Making a GC root of a path that is there takes 50 ms, on a slow host seconds.
const ROOT_TIMEOUT: Duration = Duration::from_secs(60);

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
    /// `<gc_roots>/<host>/<revision>` until [`BuildRoot::let_go`], on the host by one root for what was
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

    async fn build_here(&self, request: &BuildRequest) -> Result<Toplevel, BuildError> {
        let system = &request.evaluated.system;
        let root = Root::prepare(&self.settings.gc_roots, request).await?;
        let arguments = match self.can_build(system).await.map_err(BuildError::Nix)? {
            Buildable::Yes => arguments::realise(&request.evaluated.derivation, &root.path),
            Buildable::No { ours } => {
                // A cache may have what we cannot build, and so may our own store.
                let arguments = arguments::substitute(&request.evaluated.toplevel, &root.path);
                let finished = self.realise(arguments, Vec::new(), request.timeout).await?;
                if finished.status.success() {
                    return root.check(request).await;
                }
                return Err(BuildError::SystemUnsupported {
                    system: system.clone(),
                    ours,
                });
            }
        };
        self.realise_rooted(request, root, arguments, Vec::new())
            .await
    }

    async fn build_on_builder(
        &self,
        request: &BuildRequest,
        builder: &str,
    ) -> Result<Toplevel, BuildError> {
        let root = Root::prepare(&self.settings.gc_roots, request).await?;
        let mut arguments = arguments::realise(&request.evaluated.derivation, &root.path);
        arguments.extend(arguments::on_builder(builder, &request.evaluated.system));
        let options = environment::ssh_options(
            self.settings.ssh_config.as_deref(),
            arguments::ssh_port(builder),
            None,
        )
        .ok_or(BuildError::AwkwardPath)?;
        let variables = vec![("NIX_SSHOPTS".to_owned(), Some(options))];
        self.realise_rooted(request, root, arguments, variables)
            .await
    }

    async fn realise_rooted(
        &self,
        request: &BuildRequest,
        root: Root,
        arguments: Vec<String>,
        variables: Vec<(String, Option<String>)>,
    ) -> Result<Toplevel, BuildError> {
        let finished = self.realise(arguments, variables, request.timeout).await?;
        if finished.status.success() {
            root.check(request).await
        } else {
            Err(BuildError::of(
                &finished,
                &request.evaluated.system,
                BuildError::Nix,
            ))
        }
    }

    async fn realise(
        &self,
        arguments: Vec<String>,
        variables: Vec<(String, Option<String>)>,
        timeout: Duration,
    ) -> Result<Finished, BuildError> {
        self.run("nix-store", arguments, variables, timeout)
            .await
            .map_err(BuildError::Nix)
    }

    /// Takes the derivation to the host and has the host's Nix build it, driven from here: a build
    /// whose client goes away is ended by the host's Nix, a command over SSH would go on for ever.
    async fn build_on_target(
        &self,
        request: &BuildRequest,
        target: &Connection,
    ) -> Result<Toplevel, BuildError> {
        let deadline = Instant::now() + request.timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let Evaluated {
            derivation,
            toplevel,
            system,
        } = &request.evaluated;
        let link = Link::to(target, self.settings.ssh_config.as_deref())
            .await
            .map_err(BuildError::Copy)?;
        let copy = arguments::copy_derivation(derivation, &link.store);
        self.transfer_to(copy, &link, target, left())
            .await
            .map_err(BuildError::Copy)?;
        let build = arguments::realise_at(&link.store, derivation);
        let finished = self
            .run("nix-store", build, link.variables(), left())
            .await
            .map_err(BuildError::OnTarget)?;
        if !finished.status.success() {
            if let Some(error) = CopyError::of_connection(&finished, &target.destination().address)
            {
                return Err(BuildError::Copy(error));
            }
            return Err(BuildError::of(&finished, system, BuildError::OnTarget));
        }
        drop(link);
        let root = RemoteCommand::new("nix-store")
            .arguments([
                "--realise",
                toplevel.as_str(),
                "--add-root",
                ROOT_ON_TARGET,
                "--indirect",
            ])
            .privilege(Privilege::Root)
            .timeout(ROOT_TIMEOUT);
        let completed = target.run(root).await.map_err(BuildError::Ssh)?;
        if completed.code == 0 {
            Ok(toplevel.clone())
        } else {
            Err(BuildError::Failed {
                detail: completed.complaint(),
            })
        }
    }
}
