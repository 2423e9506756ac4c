//! From a revision of the flake to what each host should run, without building it.

mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};

use crate::attribute::Attribute;
use crate::command::Command;
use crate::flake::FlakeSource;
use crate::nix::{arguments, output};
use crate::runner::Nix;
use crate::toplevel::{DerivationPath, Toplevel};
use crate::trouble::NixTrouble;

pub use error::EvaluateError;

/// How many hosts are evaluated at once when each is evaluated alone: a NixOS host takes 0.5 to 4.5 GB.
const ALONE_AT_ONCE: usize = 2;
/// Looking for one file in the mirror takes milliseconds.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What the flake says that a host should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// The derivation, present in this machine's store.
    pub derivation: DerivationPath,
    /// What it builds.
    pub toplevel: Toplevel,
    /// The system that can build it, for example `aarch64-linux`.
    pub system: String,
}

/// One host's answer.
type Answer = Result<Evaluated, Arc<EvaluateError>>;

impl Nix {
    /// Evaluates hosts of one revision: all in one call, each alone if that call fails because of what
    /// may be one host's fault. Each call may take `timeout`. The derivations are in the store after it.
    ///
    /// Every attribute that was asked for is in the answer.
    pub async fn evaluate(
        &self,
        flake: &FlakeSource,
        attributes: &[Attribute],
        timeout: Duration,
    ) -> BTreeMap<Attribute, Result<Evaluated, Arc<EvaluateError>>> {
        let attributes = BTreeSet::from_iter(attributes.iter().cloned());
        if attributes.is_empty() {
            return BTreeMap::new();
        }
        let attributes = &Vec::from_iter(attributes);
        let error = match self.evaluate_together(flake, attributes, timeout).await {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        if attributes.len() == 1 || !error.can_be_one_hosts() {
            let error = Arc::new(error);
            return attributes
                .iter()
                .map(|attribute| (attribute.clone(), Err(error.clone())))
                .collect();
        }
        tracing::debug!(%error, revision = %flake.revision, "evaluating each host alone");
        // What was too much for the memory together is tried one after the other.
        let at_once = match error {
            EvaluateError::Nix(NixTrouble::Killed { .. } | NixTrouble::OutOfMemory { .. }) => 1,
            _ => ALONE_AT_ONCE,
        };
        // Owned, for a closure over references makes a future that is not Send for every lifetime.
        stream::iter(attributes.to_vec())
            .map(|attribute| async move {
                let alone = std::slice::from_ref(&attribute);
                match self.evaluate_together(flake, alone, timeout).await {
                    Ok(answers) => answers,
                    Err(error) => BTreeMap::from([(attribute, Err(Arc::new(error)))]),
                }
            })
            .buffer_unordered(at_once)
            .fold(BTreeMap::new(), |mut all, answers| async move {
                all.extend(answers);
                all
            })
            .await
    }

    /// One call for all.
    async fn evaluate_together(
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
                error => error,
            });
        }
        let mut evaluation = output::evaluated(&finished.stdout)
            .map_err(|source| EvaluateError::Unexpected { source })?;
        Ok(attributes
            .iter()
            .map(|attribute| {
                let answer = match evaluation.hosts.remove(attribute.as_str()).flatten() {
                    Some(host) => Ok(host.into()),
                    None => Err(Arc::new(EvaluateError::AttributeMissing {
                        attribute: attribute.clone(),
                        nearest: output::nearest(attribute.as_str(), &evaluation.available)
                            .map(str::to_owned),
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
}
