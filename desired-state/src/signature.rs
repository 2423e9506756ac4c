//! Whether a commit carries a good signature by somebody who may sign.
//!
//! The signature is checked against the commit as it lies in our mirror, by the programs that git itself
//! uses, and against the given files alone: no configuration, home or keyring of whoever runs us counts.
//!
//! # Layout
//!
//! `commit` takes a commit apart · `ssh` `openpgp` ask the programs, and read what they say · `program` runs them.

mod commit;
mod openpgp;
mod program;
mod ssh;

use std::path::PathBuf;

use crate::Revision;
use crate::mirror::{Mirror, MirrorError};
use commit::Format;
pub(crate) use commit::Signed;
use program::ProgramError;

/// Who may sign commits: at least one of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signers {
    /// SSH keys, as in ssh-keygen(1), ALLOWED SIGNERS.
    pub allowed_signers: Option<PathBuf>,
    /// OpenPGP keys, as `gpg --export` writes them: not armored.
    pub openpgp_keyring: Option<PathBuf>,
}

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

impl Mirror {
    /// Why a commit of the mirror is not trusted; `None` if it has a good signature by one of `signers`.
    ///
    /// The time at which a key has to be valid is, as for `git verify-commit`, the commit's own for SSH keys
    /// and now for OpenPGP keys: a key that was stolen has to be removed from the file.
    pub async fn distrust(&self, revision: &Revision, signers: &Signers) -> Option<Distrust> {
        let signed = match self.signature(revision).await {
            Ok(Some(signed)) => signed,
            Ok(None) => return Some(Distrust::Unsigned),
            Err(error) => return Some(unreadable(&error)),
        };
        let checked = match (signed.format(), signers) {
            (
                Format::Ssh,
                Signers {
                    allowed_signers: Some(file),
                    ..
                },
            ) => ssh::check(&signed, file).await,
            (
                Format::OpenPgp,
                Signers {
                    openpgp_keyring: Some(file),
                    ..
                },
            ) => openpgp::check(&signed, file).await,
            (Format::Ssh, _) => Ok(Some(Distrust::NoSigners {
                kind: "SSH",
                key: "allowed_signers_file",
            })),
            (Format::OpenPgp, _) => Ok(Some(Distrust::NoSigners {
                kind: "OpenPGP",
                key: "openpgp_keyring_file",
            })),
            (Format::Unknown, _) => Ok(Some(Distrust::UnknownKind)),
        };
        checked.unwrap_or_else(|error: ProgramError| {
            Some(Distrust::Unchecked {
                why: error.to_string(),
            })
        })
    }
}

fn unreadable(error: &MirrorError) -> Distrust {
    Distrust::Unchecked {
        why: error.to_string(),
    }
}
