//! A repository: our mirror of it, and whom its commits have to be signed by.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use async_trait::async_trait;
use deploy::FlakeSource;
use desired_state::{
    Access, BranchName, Branches, Distrust, Fetched, Lineage, Mirror, MirrorError, MirrorSettings,
    RepositoryName, Revision, Signers, Unfetched,
};
use parking_lot::Mutex;
use planning::model::spec::{RepositoryAccess, RepositoryConfig};
use tokio::time::Instant;

use crate::config::Config;
use crate::context::ports::Source;

/// A mirror, and what is known of its commits' signatures.
#[derive(Debug)]
pub struct MirrorSource {
    mirror: Mirror,
    flake_folder: String,
    signers: Option<Signers>,
    verified: Verified,
}

impl MirrorSource {
    /// Sets it up as the config says; touches neither network nor disk.
    ///
    /// # Errors
    /// When the mirror's settings cannot be right.
    pub fn open(
        name: &RepositoryName,
        repository: &RepositoryConfig,
        config: &Config,
    ) -> Result<Self, MirrorError> {
        let access = match &repository.access {
            RepositoryAccess::None => Access::None,
            RepositoryAccess::SshKey { key, known_hosts } => Access::SshKey {
                key: key.clone(),
                known_hosts: known_hosts.clone(),
                ssh_config: config.ssh.config_file.clone(),
            },
            RepositoryAccess::Token { file, user } => Access::Token {
                file: file.clone(),
                username: user.clone(),
            },
        };
        let mirror = Mirror::open(MirrorSettings {
            directory: config.state_directory.join("mirrors").join(name.as_ref()),
            url: repository.url.clone(),
            access,
            timeout: repository.fetch_timeout,
        })?;
        Ok(Self {
            mirror,
            flake_folder: repository.flake_folder.clone(),
            signers: repository.signers.clone(),
            verified: Verified::default(),
        })
    }

    /// Asks the server whether it lets us in, and nothing else.
    ///
    /// # Errors
    /// When it does not, or not in time.
    pub async fn ask(&self, limit: Duration) -> Result<(), MirrorError> {
        self.mirror.ask(limit).await
    }
}

#[async_trait]
impl Source for MirrorSource {
    async fn fetch(&self, branches: Branches) -> Result<Fetched, MirrorError> {
        self.mirror.fetch_branches(branches).await
    }

    async fn tip(&self, branch: &BranchName) -> Result<Option<Revision>, MirrorError> {
        self.mirror.tip(branch).await
    }

    async fn lineage(&self, from: &Revision, to: &Revision) -> Result<Lineage, MirrorError> {
        // A commit that a fresh clone no longer has was rewound away.
        if from != to && !self.mirror.contains(from).await? {
            return Ok(Lineage::Rewound);
        }
        self.mirror.lineage(from, to).await
    }

    async fn resolve(&self, text: &str) -> Result<Revision, MirrorError> {
        self.mirror.resolve(text).await
    }

    async fn verify(&self, revision: &Revision) -> Option<Distrust> {
        let signers = self.signers.as_ref()?;
        let question = (revision.clone(), fingerprint(signers).await);
        if let Some(known) = self.verified.known(&question) {
            return known;
        }
        let found = self.mirror.distrust(revision, signers).await;
        let is_settled = !found.as_ref().is_some_and(Distrust::is_worth_retrying);
        if is_settled && fingerprint(signers).await == question.1 {
            self.verified.note(question, found.clone());
        }
        found
    }

    async fn unfetched(&self, revision: &Revision) -> Result<Option<Unfetched>, MirrorError> {
        self.mirror.unfetched(revision, &self.flake_folder).await
    }

    fn doubt(&self) {
        self.mirror.doubt();
    }

    fn flake(&self, revision: &Revision) -> FlakeSource {
        FlakeSource {
            mirror: self.mirror.directory().to_owned(),
            folder: self.flake_folder.clone(),
            revision: revision.to_string(),
        }
    }
}

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
struct Verified(Mutex<HashMap<Question, Answer>>);

impl Verified {
    fn known(&self, question: &Question) -> Option<Option<Distrust>> {
        let answers = self.0.lock();
        let (answer, found_at) = answers.get(question)?;
        (found_at.elapsed() < COUNTS_FOR).then(|| answer.clone())
    }

    fn note(&self, question: Question, answer: Option<Distrust>) {
        let mut answers = self.0.lock();
        if answers.len() >= AT_MOST_KNOWN {
            answers.clear();
        }
        answers.insert(question, (answer, Instant::now()));
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
        let (verified, minute) = (Verified::default(), Duration::from_secs(60));
        let question: Question = ("a".repeat(40).parse().unwrap(), 7);
        verified.note(question.clone(), None);
        tokio::time::advance(COUNTS_FOR - minute).await;
        assert_eq!(verified.known(&question), Some(None));
        tokio::time::advance(minute).await;
        assert_eq!(verified.known(&question), None);
    }
}
