//! Whether a repository's commits may be deployed: its rule on signatures.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use desired_state::{Distrust, Revision};

use crate::world::Repository;

/// Commits whose answer is kept. More are only asked about again.
const AT_MOST_KNOWN: usize = 1024;

/// What has been found out about a repository's commits, for as long as its files of signers stay as they are.
#[derive(Debug, Default)]
pub struct Trust(Mutex<HashMap<Revision, Option<Distrust>>>);

impl Trust {
    fn known(&self, revision: &Revision) -> Option<Option<Distrust>> {
        self.answers().get(revision).cloned()
    }

    fn note(&self, revision: &Revision, answer: Option<Distrust>) {
        let mut answers = self.answers();
        if answers.len() >= AT_MOST_KNOWN {
            answers.clear();
        }
        answers.insert(revision.clone(), answer);
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Revision, Option<Distrust>>> {
        // Whole between any two statements, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Repository {
    /// Why a commit must not be deployed, by the repository's rule on signatures; `None` if it may.
    pub async fn distrust(&self, revision: &Revision) -> Option<Distrust> {
        let signers = self.config.signers.as_ref()?;
        if let Some(known) = self.trust.known(revision) {
            return known;
        }
        let found = self.mirror.distrust(revision, signers).await;
        if !found.as_ref().is_some_and(Distrust::is_worth_retrying) {
            self.trust.note(revision, found.clone());
        }
        found
    }
}
