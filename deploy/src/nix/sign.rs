//! Signs what is to be copied, so that a host takes it from a user that it does not trust.

use std::path::Path;
use std::time::Duration;

use crate::command::Command;
use crate::nix::Nix;
use crate::nix::arguments;
use crate::nix::copy::CopyError;
use crate::toplevel::Toplevel;

/// Making a public key of a secret one takes 10 ms.
const CONVERT_TIMEOUT: Duration = Duration::from_secs(10);

impl Nix {
    /// Signs a toplevel and all that it needs with the configured key, if there is one.
    ///
    /// All of it: what came from a cache has that cache's signature, whose key the host need not know.
    /// What has ours already is left as it is.
    pub(crate) async fn sign(
        &self,
        toplevel: &Toplevel,
        timeout: Duration,
    ) -> Result<(), CopyError> {
        let Some(key) = &self.settings.secret_key else {
            return Ok(());
        };
        let finished = self
            .run("nix", arguments::sign(toplevel, key), Vec::new(), timeout)
            .await
            .map_err(CopyError::Nix)?;
        if finished.status.success() {
            return Ok(());
        }
        Err(CopyError::of_signing(&finished, key))
    }

    /// What a host's `trusted-public-keys` has to have for our signatures, or how to find that out.
    pub(crate) async fn public_key(&self) -> String {
        match &self.settings.secret_key {
            None => "there is none yet: `nix-store --generate-binary-cache-key` makes one, and secret_key_file \
                     in [store] names it"
                .to_owned(),
            Some(key) => converted(key).await.unwrap_or_else(|| {
                format!("what `nix key convert-secret-to-public < {}` says", key.display())
            }),
        }
    }
}

/// The public key of a secret one, by Nix; the secret goes by standard input.
async fn converted(key: &Path) -> Option<String> {
    let mut command = Command::new("nix", CONVERT_TIMEOUT).arguments(arguments::PUBLIC_KEY);
    command.stdin = tokio::fs::read(key).await.ok()?;
    let finished = command.run().await.ok()?;
    let text = String::from_utf8(finished.stdout).ok()?;
    let line = text.trim();
    (finished.status.success() && line.contains(':')).then(|| line.to_owned())
}
