//! Whether a commit carries a good signature by somebody who may sign.
//!
//! The signature is checked against the commit as it lies in our mirror, by the programs that git itself
//! uses, and against the given files alone: no configuration, home or keyring of whoever runs us counts.
//!
//! # Layout
//!
//! `commit` takes a commit apart · `distrust` what may be wrong with it · `ssh` `openpgp` ask the programs, and read what they say · `program` runs them.

mod commit;
mod distrust;
mod openpgp;
mod program;
mod ssh;

use std::path::PathBuf;

pub(crate) use commit::Signed;
pub use distrust::Distrust;

use commit::Format;

/// Who may sign commits: at least one of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signers {
    /// SSH keys, as in ssh-keygen(1), ALLOWED SIGNERS.
    pub allowed_signers: Option<PathBuf>,
    /// OpenPGP keys, as `gpg --export` writes them: not armored.
    pub openpgp_keyring: Option<PathBuf>,
}

/// Why a signed commit is not trusted; `None` if its signature is good and by one of `signers`.
pub(crate) async fn check(signed: &Signed, signers: &Signers) -> Option<Distrust> {
    let checked = match signed.format() {
        Format::Ssh => match &signers.allowed_signers {
            Some(file) => ssh::check(signed, file).await,
            None => return Some(no_signers("SSH", "allowed_signers_file")),
        },
        Format::OpenPgp => match &signers.openpgp_keyring {
            Some(file) => openpgp::check(signed, file).await,
            None => return Some(no_signers("OpenPGP", "openpgp_keyring_file")),
        },
        Format::Unknown => return Some(Distrust::UnknownKind),
    };
    checked.unwrap_or_else(|error| Some(Distrust::unchecked(&error)))
}

fn no_signers(kind: &'static str, key: &'static str) -> Distrust {
    Distrust::NoSigners { kind, key }
}
