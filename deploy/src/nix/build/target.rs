//! Builds in the host's own store.

use std::time::Duration;

use tokio::time::Instant;

use super::{BuildError, BuildRequest};
use crate::command::Patience;
use crate::nix::copy::Link;
use crate::nix::output::Evaluated;
use crate::nix::trouble::NixTrouble;
use crate::nix::{Nix, arguments};
use crate::ssh::{Connection, Privilege, RemoteCommand};
use crate::toplevel::Toplevel;

/// The GC root on a host of what was built there last. The activation makes its own; this one holds
/// the system in between.
const ROOT_ON_TARGET: &str = "/nix/var/nix/gcroots/reconcile-built";
/// Makes a GC root of a path that is there. By the shell that `sudo` lets us run anyway: a rule for it alone would need a
/// pattern, which sudo-rs took literally before 0.2.13.
const ROOT: &str = "exec nix-store --realise \"$1\" --add-root \"$2\" --indirect";
/// Making a GC root of a path that is there takes 50 ms, on a slow host seconds.
const ROOT_TIMEOUT: Duration = Duration::from_secs(60);

impl Nix {
    /// Takes the derivation to the host and has the host's Nix build it, driven from here: a build
    /// whose client goes away is ended by the host's Nix, a command over SSH would go on for ever.
    pub(super) async fn build_on_target(
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
        self.transfer_to(copy, &link, target, left(), Patience::Whole)
            .await
            .map_err(BuildError::Copy)?;
        let build = arguments::realise_at(&link.store, derivation);
        let finished = self
            .run("nix-store", build, link.variables(), left())
            .await
            .map_err(BuildError::OnTarget)?;
        if !finished.status.success() {
            let address = &target.destination().address;
            return Err(BuildError::on_target(&finished, system, address));
        }
        drop(link);
        let root = RemoteCommand::new("/bin/sh")
            .arguments(["-c", ROOT, "sh", toplevel.as_str(), ROOT_ON_TARGET])
            .privilege(Privilege::Root)
            .timeout(ROOT_TIMEOUT);
        let completed = target.run(root).await.map_err(BuildError::Ssh)?;
        if completed.code == 0 {
            Ok(toplevel.clone())
        } else {
            // It is built; what keeps it from being held is the host's.
            Err(BuildError::OnTarget(NixTrouble::System {
                detail: completed.complaint(),
            }))
        }
    }
}
