//! What can go wrong with a mirror.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::address::AddressError;
use super::credentials::CredentialsError;
use super::remote_failure::RemoteFailure;

/// Why a mirror could not do what was asked: one variant a step, each with the mend where one is known.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The URL or the access settings cannot be right.
    #[error("the repository's address is wrong: {0}")]
    Address(#[from] AddressError),
    /// A key or token file is missing or not as it must be.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The fetch reached for the server and did not get what it wanted.
    #[error("cannot fetch {url}: {failure}{said}", said = said_by_remote(.said))]
    Remote {
        /// The URL that was fetched; it never holds a secret.
        url: String,
        /// Why, with the mend.
        failure: RemoteFailure,
        /// The last words of git, ssh or the server, escaped and cut; may be empty.
        said: String,
    },
    /// Nothing moved for as long as that is allowed, and the fetch was ended.
    #[error("fetching {url} got nothing for {limit:?} and was ended{said}; look at the network and the server, or raise fetch_timeout", said = said_by_remote(.said))]
    TimedOut {
        /// The URL that was fetched.
        url: String,
        /// How long nothing may move.
        limit: Duration,
        /// How far the transfer came, or the last words of ssh or the server, escaped and cut; may be empty.
        said: String,
    },
    /// Another fetch into the same folder did not end in time.
    #[error("another fetch into {directory} has not ended within {limit:?}", directory = .directory.display())]
    Busy {
        /// The mirror's folder.
        directory: PathBuf,
        /// How long this fetch waited.
        limit: Duration,
    },
    /// Nothing was ever fetched into this mirror.
    #[error("{directory} has not been fetched yet", directory = .directory.display())]
    NotFetchedYet {
        /// The mirror's folder.
        directory: PathBuf,
    },
    /// The mirror on disk is damaged; the next fetch clones it again.
    #[error("the mirror {directory} is damaged ({what}); the next fetch clones it again", directory = .directory.display())]
    Damaged {
        /// The mirror's folder.
        directory: PathBuf,
        /// What was found.
        what: String,
    },
    /// The mirror belongs to another user than the one that runs this program.
    #[error("the mirror {directory} belongs to another user, so git and Nix will not read it; chown it to the user that reconcile runs as", directory = .directory.display())]
    NotOurs {
        /// The mirror's folder.
        directory: PathBuf,
    },
    /// A text that is no commit id nor the beginning of one.
    #[error("\"{0}\" is not a revision; give 7 to 40 hexadecimal digits of a commit")]
    NotARevision(String),
    /// No commit of the mirror begins so.
    #[error("no commit {0} in the mirror; push it to the repository")]
    UnknownRevision(String),
    /// More than one commit begins so.
    #[error("more than one commit begins with {0}; give more digits")]
    AmbiguousRevision(String),
    /// A file or folder of the mirror could not be handled.
    #[error("cannot {step} {path}: {source}", path = .path.display())]
    Disk {
        /// What was tried.
        step: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// git or libgit2 failed on the mirror itself, not on the network.
    #[error("cannot {step} in the mirror: {source}", source = .source.message())]
    Git {
        /// What was tried.
        step: &'static str,
        /// What it said.
        #[source]
        source: git2::Error,
    },
    /// The thread of a fetch or a look-up died.
    #[error("the work on the mirror was cut off: {0}")]
    CutOff(#[from] tokio::task::JoinError),
}

impl MirrorError {
    /// Whether the same call may succeed later without a person changing anything.
    #[must_use]
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Address(_)
            | Self::Credentials(_)
            | Self::NotOurs { .. }
            | Self::NotARevision(_)
            | Self::UnknownRevision(_)
            | Self::AmbiguousRevision(_) => false,
            Self::Remote { failure, .. } => failure.is_worth_retrying(),
            Self::TimedOut { .. }
            | Self::Busy { .. }
            | Self::NotFetchedYet { .. }
            | Self::Damaged { .. }
            | Self::Disk { .. }
            | Self::Git { .. }
            | Self::CutOff(_) => true,
        }
    }
}

fn said_by_remote(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(" (said: {said})")
    }
}
