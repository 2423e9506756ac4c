//! Whether a repository's commits may be deployed: its rule on signatures.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use desired_state::{Distrust, Revision, Signers};

use crate::world::Repository;

/// Commits whose answer is kept. More are only asked about again.
const AT_MOST_KNOWN: usize = 1024;

/// A commit, and the files of signers by which it was judged.
type Question = (Revision, u64);

/// What has been found out about a repository's commits.
#[derive(Debug, Default)]
pub struct Trust(Mutex<HashMap<Question, Option<Distrust>>>);

impl Trust {
    fn known(&self, question: &Question) -> Option<Option<Distrust>> {
        self.answers().get(question).cloned()
    }

    fn note(&self, question: Question, answer: Option<Distrust>) {
        let mut answers = self.answers();
        if answers.len() >= AT_MOST_KNOWN {
            answers.clear();
        }
        answers.insert(question, answer);
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Question, Option<Distrust>>> {
        // Whole between any two statements, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Repository {
    /// Why a commit must not be deployed, by the repository's rule on signatures; `None` if it may.
    pub async fn distrust(&self, revision: &Revision) -> Option<Distrust> {
        let signers = self.config.signers.as_ref()?;
        let question = (revision.clone(), fingerprint(signers).await);
        if let Some(known) = self.trust.known(&question) {
            return known;
        }
        let found = self.mirror.distrust(revision, signers).await;
        let is_settled = !found.as_ref().is_some_and(Distrust::is_worth_retrying);
        if is_settled && fingerprint(signers).await == question.1 {
            self.trust.note(question, found.clone());
        }
        found
    }
}

/// Of what the files of signers hold just now: an answer by other signers is none.
async fn fingerprint(signers: &Signers) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in [&signers.allowed_signers, &signers.openpgp_keyring] {
        let contents = match file {
            Some(file) => tokio::fs::read(file).await.ok(),
            None => None,
        };
        contents.hash(&mut hasher);
    }
    hasher.finish()
}
