//! Builds into this machine's store: by its own Nix, or on a builder that hands over what it built.

use std::time::Duration;

use super::root::Root;
use super::{BuildError, BuildRequest};
use crate::command::Finished;
use crate::nix::buildable::Buildable;
use crate::nix::environment::Variable;
use crate::nix::trouble::NixTrouble;
use crate::nix::{Nix, arguments, environment};
use crate::toplevel::Toplevel;

impl Nix {
    pub(super) async fn build_here(&self, request: &BuildRequest) -> Result<Toplevel, BuildError> {
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
                if let Some(trouble) =
                    NixTrouble::of(&finished).or_else(|| NixTrouble::passing(&finished))
                {
                    return Err(BuildError::Nix(trouble));
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

    pub(super) async fn build_on_builder(
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
        variables: Vec<Variable>,
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
        variables: Vec<Variable>,
        timeout: Duration,
    ) -> Result<Finished, BuildError> {
        self.run("nix-store", arguments, variables, timeout)
            .await
            .map_err(BuildError::Nix)
    }
}
