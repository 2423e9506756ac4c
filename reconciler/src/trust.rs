//! Whether a repository's commits may be deployed: its rule on signatures.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use desired_state::{Distrust, Revision, Signers};
use tokio::time::Instant;

use crate::world::Repository;

/// Commits whose answer is kept. More are only asked about again.
const AT_MOST_KNOWN: usize = 1024;

/// An answer counts for so long: an OpenPGP key has to be valid now, and may expire. To ask again takes some
/// milliseconds, but each pass over each host would.
const COUNTS_FOR: Duration = Duration::from_secs(60 * 60);

/// A commit, and the files of signers by which it was judged.
type Question = (Revision, u64);

/// What was found out, and when.
type Answer = (Option<Distrust>, Instant);

/// What has been found out about a repository's commits.
#[derive(Debug, Default)]
pub struct Trust(Mutex<HashMap<Question, Answer>>);

impl Trust {
    fn known(&self, question: &Question) -> Option<Option<Distrust>> {
        let answers = self.answers();
        let (answer, found_at) = answers.get(question)?;
        (found_at.elapsed() < COUNTS_FOR).then(|| answer.clone())
    }

    fn note(&self, question: Question, answer: Option<Distrust>) {
        let mut answers = self.answers();
        if answers.len() >= AT_MOST_KNOWN {
            answers.clear();
        }
        answers.insert(question, (answer, Instant::now()));
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Question, Answer>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_found_out_is_asked_again_in_time_to_see_a_key_expire() {
        let (trust, minute) = (Trust::default(), Duration::from_secs(60));
        let question: Question = ("a".repeat(40).parse().unwrap(), 7);
        trust.note(question.clone(), None);
        tokio::time::advance(COUNTS_FOR - minute).await;
        assert_eq!(trust.known(&question), Some(None));
        tokio::time::advance(minute).await;
        assert_eq!(trust.known(&question), None);
    }
}
