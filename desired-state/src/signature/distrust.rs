//! Why a commit is not trusted, with the mend.

use std::path::PathBuf;

/// Why a commit is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// It has no signature.
    #[error(
        "it is not signed: look at what it changes, and push a signed commit on top of it (git commit -S --allow-empty), which vouches for it too"
    )]
    Unsigned,
    /// It has a signature of a kind for which no signers are configured.
    #[error("it has an {kind} signature, and no signers of that kind are configured; set {key}")]
    NoSigners {
        /// `SSH` or `OpenPGP`.
        kind: &'static str,
        /// The key of the config.
        key: &'static str,
    },
    /// It has a signature of a kind that is not checked.
    #[error("its signature is neither of SSH nor of OpenPGP; sign it by one of them")]
    UnknownKind,
    /// The signature is not one for this commit: the commit, or the signature, was changed.
    #[error("its signature is BAD: the commit is not what was signed ({said})")]
    Bad {
        /// What the program said.
        said: String,
    },
    /// The signature is good, and its key may not sign, or not any more.
    #[error("it is signed by {key}, which may not sign{said}: ask who pushed it, and push a commit on top that is signed by one who may; only if you trust that key, see to its line in {file}", said = because(.said), file = .file.display())]
    NotAllowed {
        /// The key: its kind and fingerprint.
        key: String,
        /// What the program said about it, if anything.
        said: String,
        /// The file of those who may.
        file: PathBuf,
    },
    /// It could not be found out.
    #[error("its signature could not be checked: {why}")]
    Unchecked {
        /// Why, with the mend.
        why: String,
    },
}

impl Distrust {
    /// Says that an error has kept it from being found out.
    pub(crate) fn unchecked(error: &dyn std::error::Error) -> Self {
        Self::Unchecked {
            why: error.to_string(),
        }
    }

    /// Whether the same commit may be trusted later without a person changing anything.
    #[must_use]
    pub fn is_worth_retrying(&self) -> bool {
        matches!(self, Self::Unchecked { .. })
    }
}

fn because(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(" ({said})"),
    }
}
