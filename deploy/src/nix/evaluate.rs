//! From a revision of the flake to what each host should run, without building it.

mod call;
mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};

use crate::attribute::Attribute;
use crate::flake::FlakeSource;
use crate::nix::Nix;
use crate::nix::output::Evaluated;
use crate::nix::trouble::NixTrouble;

pub use error::EvaluateError;

/// How many hosts are evaluated at once when each is evaluated alone: a NixOS host takes 0.5 to 4.5 GB.
const ALONE_AT_ONCE: usize = 2;
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
}
