//! A mirror of the repository that hosts are deployed from: what is deployed comes from here, and never from what a
//! delivery says.
//!
//! # Guarantees
//!
//! - A fetch ends when nothing has moved for as long as is allowed, whatever the server does, and one mirror is fetched
//!   by one at a time.
//! - A damaged mirror is moved to `DIRECTORY.broken` and cloned again at the next fetch, and
//!   [`Fetched::recloned`] says so. Trouble with the network never leads to a new clone, and the damaged mirror
//!   stays where it is until the new one is complete.
//! - Commits that a forced push or a deleted branch left behind stay good; only a new clone loses them.
//! - Nix reads the mirror in place: see [`MirrorSettings::directory`].
//!
//! # Layout
//!
//! `address` `credentials` what is checked before the network is touched · `fetch` one fetch · `git` by git itself ·
//! `listing` what the server has · `stop` its end · `libgit2` the limits of who reads · `layout` `branches` `health`
//! the repository on disk · `lineage` `revisions` `unfetched` what it is asked · `remote_failure` `error` what can go wrong, and
//! the mend.

mod address;
mod branches;
mod credentials;
mod error;
mod fetch;
mod git;
mod health;
mod layout;
mod libgit2;
mod lineage;
mod listing;
mod remote_failure;
mod revisions;
mod settings;
mod stop;
mod unfetched;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use git2::Repository;
use parking_lot::Mutex;

pub use address::AddressError;
pub use branches::Branches;
pub use credentials::CredentialsError;
pub use error::MirrorError;
pub use lineage::Lineage;
pub use remote_failure::RemoteFailure;
pub use settings::{Access, MirrorSettings};
pub use unfetched::Unfetched;

use crate::names::{BranchName, Revision};
use crate::signature::{self, Distrust, Signed, Signers};
use address::{Address, check_url};
use branches::Tips;
use fetch::Fetch;
use layout::Layout;
use stop::{CallOff, Stop};

/// A mirror of one repository. Clones share it.
#[derive(Debug, Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: MirrorSettings,
    address: Address,
    layout: Layout,
    /// Held by the thread of a fetch until it has really ended.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The branches when a fetch was last answered.
    reported: Mutex<Option<Tips>>,
    /// Whether the next fetch looks thoroughly at what is on disk.
    in_doubt: AtomicBool,
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The branches that are new, gone, or lead to another commit than when the last fetch was answered (or, for the
    /// first, than the mirror on disk had), by name.
    pub changed: Vec<BranchName>,
    /// Whether the mirror was found damaged and cloned again; what lay there is in `DIRECTORY.broken`.
    pub recloned: bool,
    /// What the damage was, if it was cloned again.
    pub damage: Option<String>,
}

impl Mirror {
    /// Checks the settings. Neither the network nor the disk is touched before the first fetch.
    ///
    /// # Errors
    ///
    /// The URL or the access settings cannot be right.
    pub fn open(settings: MirrorSettings) -> Result<Self, MirrorError> {
        let address = check_url(&settings.url, &settings.access)?;
        let layout = Layout::new(settings.directory.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                address,
                layout,
                turn: Arc::default(),
                reported: Mutex::default(),
                in_doubt: AtomicBool::new(true),
            }),
        })
    }

    /// The folder that Nix reads: `git+file://DIRECTORY?rev=…`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.inner.layout.directory()
    }

    /// Brings all branches to where the server's are: [`Mirror::fetch_branches`].
    ///
    /// # Errors
    ///
    /// As [`Mirror::fetch_branches`].
    pub async fn fetch(&self) -> Result<Fetched, MirrorError> {
        self.fetch_branches(Branches::All).await
    }

    /// Brings branches of the mirror to where the server's are. Waits for its turn if a fetch is under way. Dropping the
    /// future ends the fetch.
    ///
    /// # Errors
    ///
    /// Everything that can go wrong with files, ssh, the network and the server, each with its mend.
    pub async fn fetch_branches(&self, branches: Branches) -> Result<Fetched, MirrorError> {
        let limit = self.inner.settings.timeout;
        let turn = Arc::clone(&self.inner.turn).lock_owned();
        let turn = tokio::time::timeout(limit, turn)
            .await
            .map_err(|_| MirrorError::Busy {
                directory: self.directory().to_owned(),
                limit,
            })?;
        let fetch = move |inner: &Inner, stop: &Arc<Stop>| {
            let _turn = turn;
            inner.fetch(&branches, stop)
        };
        self.while_wanted(Stop::after_silence_of(limit), fetch)
            .await
    }

    /// Asks the server whether it can be fetched from, within `limit`, and leaves the mirror alone.
    ///
    /// # Errors
    ///
    /// As [`Mirror::fetch`].
    pub async fn ask(&self, limit: Duration) -> Result<(), MirrorError> {
        let ask = |inner: &Inner, stop: &Arc<Stop>| {
            Fetch::prepare(&inner.settings, &inner.address, stop)?.ask()
        };
        let asked = self.while_wanted(Stop::after_silence_of(limit), ask).await;
        asked.map(|_| ())
    }

    /// Where a branch points; `None` if the server has no such branch.
    ///
    /// # Errors
    ///
    /// Nothing was fetched yet, or the mirror cannot be read.
    pub async fn tip(&self, branch: &BranchName) -> Result<Option<Revision>, MirrorError> {
        let branch = branch.clone();
        self.read("look up a branch", move |repository| {
            let reference = match repository.find_reference(&branch.reference()) {
                Ok(reference) => reference,
                Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            Ok(reference
                .target()
                .and_then(|id| Revision::try_from(id.to_string()).ok()))
        })
        .await
    }

    /// How `to` stands to `from`. A `from` that the mirror does not have (any more) gives [`Lineage::Rewound`].
    ///
    /// # Errors
    ///
    /// `to` is not in the mirror, nothing was fetched yet, or the mirror cannot be read.
    pub async fn lineage(&self, from: &Revision, to: &Revision) -> Result<Lineage, MirrorError> {
        if !self.contains(to).await? {
            return Err(MirrorError::UnknownRevision(to.to_string()));
        }
        let (from, to) = (from.clone(), to.clone());
        self.read("compare commits", move |repository| {
            lineage::between(repository, &from, &to)
        })
        .await
    }

    /// The commit that `text` stands for: 40 hexadecimal digits, or its first 7 or more.
    ///
    /// # Errors
    ///
    /// It is no such text, no commit of the mirror begins so, or more than one does.
    pub async fn resolve(&self, text: &str) -> Result<Revision, MirrorError> {
        let prefix = revisions::Prefix::try_from(text)?;
        let found = {
            let prefix = prefix.clone();
            self.read("look up a commit", move |repository| {
                prefix.find(repository)
            })
            .await?
        };
        prefix.only_one(found)
    }

    /// Whether the mirror has this commit, on a branch or kept from before.
    ///
    /// # Errors
    ///
    /// Nothing was fetched yet, or the mirror cannot be read.
    pub async fn contains(&self, revision: &Revision) -> Result<bool, MirrorError> {
        let revision = revision.clone();
        self.read("look up a commit", move |repository| {
            let id = git2::Oid::from_str(revision.as_str())?;
            match repository.find_commit(id) {
                Ok(_) => Ok(true),
                Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Why a commit of the mirror is not trusted; `None` if it has a good signature by one of `signers`.
    ///
    /// The time at which a key has to be valid is, as for `git verify-commit`, the commit's own for SSH keys
    /// and now for OpenPGP keys: a key that was stolen has to be removed from the file.
    pub async fn distrust(&self, revision: &Revision, signers: &Signers) -> Option<Distrust> {
        let revision = revision.clone();
        let signed = self.read("read a commit", move |repository| {
            Signed::read(repository, git2::Oid::from_str(revision.as_str())?)
        });
        match signed.await {
            Ok(Some(signed)) => signature::check(&signed, signers).await,
            Ok(None) => Some(Distrust::Unsigned),
            Err(error) => Some(Distrust::unchecked(&error)),
        }
    }

    /// What of a commit is elsewhere than in its repository, and not asked for by the flake in `folder`; `None` if that
    /// is nothing.
    ///
    /// # Errors
    ///
    /// The commit is not in the mirror, nothing was fetched yet, or the mirror cannot be read.
    pub async fn unfetched(
        &self,
        revision: &Revision,
        folder: &str,
    ) -> Result<Option<Unfetched>, MirrorError> {
        let (revision, folder) = (revision.clone(), folder.to_owned());
        self.read("look through a commit", move |repository| {
            unfetched::find(repository, &revision, &folder)
        })
        .await
    }

    /// Makes the next fetch look at every file of the mirror: for whoever met damage in it elsewhere, for instance
    /// in an evaluation by Nix.
    pub fn doubt(&self) {
        self.inner.in_doubt.store(true, Ordering::Relaxed);
    }

    /// Does what reaches for the server, in a thread that may block. With the future, the work ends too.
    async fn while_wanted<T: Send + 'static>(
        &self,
        stop: Arc<Stop>,
        work: impl FnOnce(&Inner, &Arc<Stop>) -> Result<T, MirrorError> + Send + 'static,
    ) -> Result<T, MirrorError> {
        let _call_off = CallOff(Arc::clone(&stop));
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner, &stop)).await?
    }

    /// Asks the repository on disk, in a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        step: &'static str,
        ask: impl FnOnce(&Repository) -> Result<T, git2::Error> + Send + 'static,
    ) -> Result<T, MirrorError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.read(step, ask)).await?
    }
}

impl Inner {
    fn fetch(&self, branches: &Branches, stop: &Arc<Stop>) -> Result<Fetched, MirrorError> {
        let before = self.tips_before();
        let done = Fetch::prepare(&self.settings, &self.address, stop)
            .and_then(|fetch| fetch.run(&self.layout, branches, &self.in_doubt));
        if matches!(done, Err(MirrorError::Git { .. })) {
            // A failure in the mirror itself, not of the other side.
            self.in_doubt.store(true, Ordering::Relaxed);
        }
        let done = done?;
        let changed = branches::changed(&before, &done.tips);
        *self.reported.lock() = Some(done.tips);
        Ok(Fetched {
            changed,
            recloned: done.damage.is_some(),
            damage: done.damage,
        })
    }

    /// What the caller knows of the branches: a fetch that failed halfway may have moved some unsaid.
    fn tips_before(&self) -> Tips {
        let mut reported = self.reported.lock();
        reported
            .get_or_insert_with(|| {
                Repository::open_bare(self.layout.git())
                    .and_then(|repository| branches::tips(&repository))
                    .unwrap_or_default()
            })
            .clone()
    }

    fn read<T>(
        &self,
        step: &'static str,
        ask: impl FnOnce(&Repository) -> Result<T, git2::Error>,
    ) -> Result<T, MirrorError> {
        let directory = self.layout.directory();
        if self.layout.is_missing() {
            return Err(MirrorError::NotFetchedYet {
                directory: directory.to_owned(),
            });
        }
        let asked =
            Repository::open_bare(self.layout.git()).and_then(|repository| ask(&repository));
        asked.map_err(|source| {
            if health::is_damage(&source) {
                self.in_doubt.store(true, Ordering::Relaxed);
                MirrorError::Damaged {
                    directory: directory.to_owned(),
                    what: source.message().to_owned(),
                }
            } else {
                MirrorError::Git { step, source }
            }
        })
    }
}
