//! The evaluations that run now: one for all hosts that wait for the same commit.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use deploy::Attribute;
use desired_state::Revision;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

use crate::context::ports::EvaluationResults;

/// An evaluation that several wait for.
pub type SharedEvaluation = Shared<BoxFuture<'static, Arc<EvaluationResults>>>;

/// The evaluations that run now.
///
/// Each is driven by those who wait for it: when nobody waits any more it is dropped, and with it
/// the `nix` process.
#[derive(Default)]
pub struct Evaluations {
    running: Mutex<HashMap<Revision, Running>>,
}

struct Running {
    attributes: BTreeSet<Attribute>,
    shared: WeakShared<BoxFuture<'static, Arc<EvaluationResults>>>,
}

impl std::fmt::Debug for Evaluations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluations").finish_non_exhaustive()
    }
}

impl Evaluations {
    /// Whether an evaluation of a commit runs that has `attribute` in it.
    pub fn has(&self, revision: &Revision, attribute: &Attribute) -> bool {
        let running = self.running.lock();
        let found = running.get(revision);
        found
            .is_some_and(|one| one.attributes.contains(attribute) && one.shared.upgrade().is_some())
    }

    /// The evaluation of a commit that runs and has `attribute` in it, else a new one of `together`.
    pub fn join_or_start(
        &self,
        revision: &Revision,
        attribute: &Attribute,
        together: BTreeSet<Attribute>,
        start: impl FnOnce(BTreeSet<Attribute>) -> BoxFuture<'static, Arc<EvaluationResults>>,
    ) -> SharedEvaluation {
        let mut running = self.running.lock();
        running.retain(|_, running| running.shared.upgrade().is_some());
        if let Some(found) = running
            .get(revision)
            .filter(|running| running.attributes.contains(attribute))
            .and_then(|running| running.shared.upgrade())
        {
            return found;
        }
        let shared = start(together.clone()).shared();
        if let Some(weak) = shared.downgrade() {
            let one = Running {
                attributes: together,
                shared: weak,
            };
            running.insert(revision.clone(), one);
        }
        shared
    }
}
