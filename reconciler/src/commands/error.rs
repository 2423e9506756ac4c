//! Why a request was refused, and what is at fault.

use crate::context::TooManyOrders;
use desired_state::{
    BranchName, Distrust, HostName, MirrorError, RepositoryName, Revision, StoreError,
};

use crate::commands::rollback::RollbackError;
use crate::controller::sources::FetchError;

/// A reason in the history; longer belongs into an issue.
pub const LONGEST_REASON: usize = 4096;
/// A name in the history; longer is a mistake.
pub const LONGEST_NAME: usize = 255;
/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It names a host that is not of the fleet.
    #[error("there is no host {host}{}", nearest.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    UnknownHost {
        /// The name.
        host: HostName,
        /// The most similar name of the fleet.
        nearest: Option<HostName>,
    },
    /// It names no host.
    #[error("no host is named; name one or more, or all")]
    NoHost,
    /// It lacks a reason.
    #[error("a reason is needed, of at most {LONGEST_REASON} bytes: it is what others will read")]
    NoReason,
    /// It does not say who asks.
    #[error("the name of who asks has to be 1 to {LONGEST_NAME} bytes long")]
    NoName,
    /// The branch does not exist.
    #[error("{repository} has no branch {branch}")]
    NoBranch {
        /// Of which repository.
        repository: RepositoryName,
        /// Which branch.
        branch: BranchName,
    },
    /// The commit is not known.
    #[error("no commit of {repository} is meant")]
    NoRevision {
        /// Of which repository.
        repository: RepositoryName,
        /// Why.
        #[source]
        source: MirrorError,
    },
    /// The commit does not carry a signature that the repository wants.
    #[error("commit {} of {repository} is not deployed: {distrust}", revision.short())]
    Untrusted {
        /// Of which repository.
        repository: RepositoryName,
        /// Which commit.
        revision: Revision,
        /// Why, and the mend.
        distrust: Distrust,
    },
    /// There is nothing to go back to.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// The repository could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The state could not be read or written.
    #[error("cannot use the state")]
    Store(#[from] StoreError),
    /// A host has too many orders waiting.
    #[error(transparent)]
    TooManyOrders(#[from] TooManyOrders),
}

/// What is at fault when a request cannot be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request makes no sense.
    Askers,
    /// A host has to be asked first, and does not answer.
    Away,
    /// There is no commit that may be deployed for it.
    NothingToDeploy,
    /// The state, a repository's server or our copy of it, or orders that are not done yet.
    Ours,
}

impl RequestError {
    /// Whether the same request can succeed later.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::UnknownHost { .. }
            | Self::NoHost
            | Self::NoReason
            | Self::NoName
            | Self::NoBranch { .. } => false,
            Self::NoRevision { source, .. } => source.is_worth_retrying(),
            Self::Untrusted { distrust, .. } => distrust.is_worth_retrying(),
            Self::Rollback(error) => error.is_worth_retrying(),
            Self::Fetch(error) => error.is_worth_retrying(),
            Self::Store(error) => error.is_worth_retrying(),
            Self::TooManyOrders(_) => true,
        }
    }

    /// What is at fault.
    pub fn fault(&self) -> Fault {
        match self {
            Self::UnknownHost { .. }
            | Self::NoHost
            | Self::NoReason
            | Self::NoName
            | Self::NoBranch { .. }
            | Self::Rollback(RollbackError::NoGeneration { .. } | RollbackError::NotOurs { .. }) => {
                Fault::Askers
            }
            // A mirror that is busy or damaged says nothing about what was asked for.
            Self::NoRevision { source, .. } if source.is_worth_retrying() => Fault::Ours,
            Self::NoRevision { .. } => Fault::Askers,
            Self::Rollback(RollbackError::Unreachable { .. }) => Fault::Away,
            Self::Rollback(RollbackError::NothingProven(_)) | Self::Untrusted { .. } => {
                Fault::NothingToDeploy
            }
            Self::Fetch(_)
            | Self::Store(_)
            | Self::Rollback(RollbackError::Store(_))
            | Self::TooManyOrders(_) => Fault::Ours,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_revision(source: MirrorError) -> RequestError {
        RequestError::NoRevision {
            repository: "a/b".parse().unwrap(),
            source,
        }
    }

    #[test]
    fn a_commit_that_nobody_has_is_the_askers_fault_and_a_mirror_that_is_damaged_is_ours() {
        let askers = no_revision(MirrorError::UnknownRevision("0123456789".into()));
        assert_eq!(askers.fault(), Fault::Askers);
        assert!(!askers.is_worth_retrying());
        let ours = no_revision(MirrorError::Damaged {
            directory: "mirrors/a/b".into(),
            what: "no HEAD".into(),
        });
        assert_eq!(ours.fault(), Fault::Ours);
        assert!(ours.is_worth_retrying());
    }

    #[test]
    fn a_host_that_has_too_many_orders_waiting_is_not_a_wrong_command_line() {
        let host = "cyt-pi".parse().unwrap();
        let full = RequestError::from(TooManyOrders { host });
        assert_eq!(full.fault(), Fault::Ours);
        assert!(full.is_worth_retrying());
    }
}
