//! One call of Nix for any number of hosts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::EvaluateError;
use crate::attribute::Attribute;
use crate::command::Command;
use crate::flake::FlakeSource;
use crate::nix::output::{self, Evaluated};
use crate::nix::{Nix, arguments};

/// Looking for one file in the mirror takes milliseconds.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// A file that is looked at for its first bytes is read whole; no Nix file is larger.
const LARGEST_ENCRYPTED: usize = 8 * 1024 * 1024;

/// One host's answer.
type Answer = Result<Evaluated, Arc<EvaluateError>>;

impl Nix {
    /// One call for all.
    pub(super) async fn evaluate_together(
        &self,
        flake: &FlakeSource,
        attributes: &[Attribute],
        timeout: Duration,
    ) -> Result<BTreeMap<Attribute, Answer>, EvaluateError> {
        // What the build will want to know is asked meanwhile.
        let (finished, ()) = tokio::join!(
            self.run(
                "nix",
                arguments::evaluate(flake, attributes),
                Vec::new(),
                timeout
            ),
            self.learn_platforms(),
        );
        let finished = finished.map_err(EvaluateError::Nix)?;
        if !finished.status.success() {
            let error = EvaluateError::of(&finished, flake);
            return Err(match error {
                EvaluateError::InputFetch { detail, .. } if self.lacks_lock_file(flake).await => {
                    EvaluateError::LockFile { detail }
                }
                EvaluateError::Code { detail } => match self.encrypted_file(flake, &detail).await {
                    Some(file) => EvaluateError::Encrypted { file },
                    None => EvaluateError::Code { detail },
                },
                error => error,
            });
        }
        let mut evaluation =
            output::evaluated(&finished.stdout).map_err(EvaluateError::of_answer)?;
        Ok(attributes
            .iter()
            .map(|attribute| {
                let answer = match evaluation.hosts.remove(attribute.as_str()).flatten() {
                    Some(host) => Ok(host.into()),
                    None => Err(Arc::new(EvaluateError::AttributeMissing {
                        attribute: attribute.clone(),
                        nearest: attribute.nearest(&evaluation.available).map(str::to_owned),
                        available: evaluation.available.clone(),
                    })),
                };
                (attribute.clone(), answer)
            })
            .collect())
    }

    /// Whether the revision has no lock file. Without one Nix tries to fetch inputs before it says so.
    async fn lacks_lock_file(&self, flake: &FlakeSource) -> bool {
        let mirror = flake.mirror.to_string_lossy();
        let file = format!("{}:{}", flake.revision, flake.file("flake.lock"));
        let command =
            Command::new("git", LOOK_TIMEOUT).arguments(["-C", &*mirror, "cat-file", "-e", &file]);
        // The status is 128 for a file that is not there (git-cat-file(1) only promises non-zero).
        matches!(command.run().await, Ok(finished) if finished.status.code() == Some(128))
    }

    /// The file of the revision that cannot be read as Nix because it is encrypted: what git-crypt has encrypted
    /// begins with its name, and Nix has found that to be no syntax.
    async fn encrypted_file(&self, flake: &FlakeSource, error: &str) -> Option<String> {
        let (_, place) = error.strip_prefix("syntax error")?.rsplit_once("(at ")?;
        let file = place.split(':').next()?;
        let mirror = flake.mirror.to_string_lossy();
        let blob = format!("{}:{file}", flake.revision);
        let mut command = Command::new("git", LOOK_TIMEOUT)
            .arguments(["-C", &*mirror, "cat-file", "blob", &blob]);
        command.stdout_limit = LARGEST_ENCRYPTED;
        let shown = command.run().await.ok()?;
        shown
            .stdout
            .starts_with(b"\0GITCRYPT\0")
            .then(|| file.to_owned())
    }
}
