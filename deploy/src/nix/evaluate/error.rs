//! Why the flake has no answer for a host.

use crate::attribute::Attribute;
use crate::command::Finished;
use crate::flake::FlakeSource;
use crate::nix::diagnosis;
use crate::nix::diagnosis::builder::FailedBuilder;
use crate::nix::download::failed_download;
use crate::nix::fetch::{self, FetchCause};
use crate::nix::trouble::NixTrouble;

/// The exit code of Nix when a build failed, here one that the evaluation needs (nix `worker.cc`,
/// `Worker::failingExitStatus`: 100 and the bits for a timeout, a hash mismatch, a nondeterminism).
const BUILD_FAILED: std::ops::RangeInclusive<i32> = 100..=109;

/// What is said where the lock file is missing or does not fit: by Nix 2.8; by newer versions; and by all
/// of them, for they ask a forge for the newest commit only where none is locked.
const LOCK_FILE: [&str; 3] = [
    "cannot write modified lock file of flake",
    "requires lock file changes",
    "/commits/HEAD'",
];

/// Why the flake has no answer for a host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// Nix, or the machine that it runs on.
    #[error("evaluation: {0}")]
    Nix(#[source] NixTrouble),
    /// The flake has no such host.
    #[error("the flake has no nixosConfigurations.{attribute}{}", choices(nearest.as_deref(), available))]
    AttributeMissing {
        /// The name that was asked for.
        attribute: Attribute,
        /// The name that was most likely meant.
        nearest: Option<String>,
        /// All names that the flake has.
        available: Vec<String>,
    },
    /// The flake has no hosts at all.
    #[error("the flake has no nixosConfigurations")]
    NoConfigurations,
    /// There is no flake at that place.
    #[error(
        "there is no flake.nix in `{folder}` of this revision; check the repository's flake_folder"
    )]
    NoFlake {
        /// The folder that was looked in.
        folder: String,
    },
    /// The mirror does not have the commit.
    #[error("the mirror does not have revision {revision}: {detail}")]
    RevisionMissing {
        /// The commit.
        revision: String,
        /// What git said.
        detail: String,
    },
    /// The mirror belongs to another user, and git does not trust it.
    #[error(
        "git refuses the mirror because another user owns it; let the user that runs reconcile own it: {detail}"
    )]
    MirrorOwner {
        /// What git said.
        detail: String,
    },
    /// `flake.lock` is missing or does not fit `flake.nix`.
    #[error("flake.lock is missing or out of date: run `nix flake lock` and commit flake.lock")]
    LockFile {
        /// What Nix said.
        detail: String,
    },
    /// `flake.lock` has what this machine's Nix does not know.
    #[error(
        "flake.lock has something that this machine's Nix does not know: a newer Nix has written it; update Nix here, or lock with this version: {detail}"
    )]
    NewerLockFile {
        /// What Nix said.
        detail: String,
    },
    /// An input could not be fetched.
    #[error("an input of the flake could not be fetched; {}: {detail}", cause.mend())]
    InputFetch {
        /// Why.
        cause: FetchCause,
        /// What Nix, git or ssh said.
        detail: String,
    },
    /// A build that the evaluation itself needs failed (import from derivation).
    #[error("a build that the evaluation needs (import from derivation) failed: {detail}")]
    ImportedBuild {
        /// What Nix said.
        detail: String,
    },
    /// A build that the evaluation itself needs is for another architecture.
    #[error(
        "the evaluation needs a build (import from derivation) for a system that this machine cannot build for; register binfmt and set extra-platforms, or name a builder in nix.conf: {detail}"
    )]
    ImportedSystem {
        /// What Nix said.
        detail: String,
    },
    /// A file of the flake is encrypted.
    #[error(
        "{file} is encrypted with git-crypt, and only who has its key can evaluate it: keep secrets out of what is evaluated (sops-nix, agenix)"
    )]
    Encrypted {
        /// The file.
        file: String,
    },
    /// The path of the system is known only once it is built.
    #[error(
        "the system is a floating content-addressed derivation (contentAddressedByDefault, __contentAddressed), which is not supported: what is to run has to be known before it is built"
    )]
    ContentAddressed,
    /// The flake's code is wrong: syntax, a type, a failed assertion, a missing attribute …
    #[error("{detail}")]
    Code {
        /// What Nix said, without the stack.
        detail: String,
    },
    /// Nix succeeded and printed something else than was asked for.
    #[error("Nix printed something unexpected for the evaluation")]
    Unexpected {
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl EvaluateError {
    /// Whether the cause can pass by itself: a fetch and the machine's own trouble can; what is
    /// written in the revision cannot.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Nix(trouble) => trouble.is_worth_retrying(),
            Self::InputFetch { .. } | Self::RevisionMissing { .. } => true,
            Self::AttributeMissing { .. }
            | Self::NoConfigurations
            | Self::NoFlake { .. }
            | Self::MirrorOwner { .. }
            | Self::LockFile { .. }
            | Self::NewerLockFile { .. }
            | Self::Encrypted { .. }
            | Self::ContentAddressed
            | Self::ImportedBuild { .. }
            | Self::ImportedSystem { .. }
            | Self::Code { .. }
            | Self::Unexpected { .. } => false,
        }
    }

    /// Whether it was given up at its limit of time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Nix(trouble) if trouble.is_timeout())
    }

    /// Whether one host alone can be the cause, so that the others should be evaluated without it.
    /// Inputs are fetched when they are used, so one that cannot be fetched may be one host's.
    pub(super) fn can_be_one_hosts(&self) -> bool {
        match self {
            Self::Nix(trouble) => trouble.can_be_one_hosts(),
            Self::Code { .. }
            | Self::InputFetch { .. }
            | Self::ImportedBuild { .. }
            | Self::ImportedSystem { .. }
            | Self::Encrypted { .. }
            | Self::ContentAddressed
            | Self::Unexpected { .. } => true,
            Self::AttributeMissing { .. }
            | Self::NoConfigurations
            | Self::NoFlake { .. }
            | Self::RevisionMissing { .. }
            | Self::MirrorOwner { .. }
            | Self::LockFile { .. }
            | Self::NewerLockFile { .. } => false,
        }
    }

    /// Names the cause of a failed evaluation.
    pub(super) fn of(finished: &Finished, flake: &FlakeSource) -> Self {
        let stderr = finished.stderr.as_str();
        let is_decisive = |trouble: &NixTrouble| {
            !matches!(trouble, NixTrouble::CacheUnreachable { .. })
                || diagnosis::has_any(
                    &diagnosis::last_error(stderr),
                    &["unable to download '", "due to networking issues"],
                )
        };
        if let Some(trouble) = NixTrouble::of(finished).filter(is_decisive) {
            return Self::Nix(trouble);
        }
        Self::of_source(stderr, flake)
            .or_else(|| Self::of_build(finished))
            .or_else(|| NixTrouble::passing(finished).map(Self::Nix))
            .unwrap_or_else(|| Self::Code {
                detail: diagnosis::evaluation_error(stderr),
            })
    }

    /// Names the cause, if it is that the flake or an input of it is not there as it should be.
    fn of_source(stderr: &str, flake: &FlakeSource) -> Option<Self> {
        let spoken = diagnosis::spoken(stderr);
        let says = |signs: &[&str]| diagnosis::has_any(&spoken, signs);
        let summary = || diagnosis::summary(stderr);
        if says(&["detected dubious ownership in repository"]) {
            return Some(Self::MirrorOwner { detail: summary() });
        }
        if says(&LOCK_FILE) {
            return Some(Self::LockFile {
                detail: diagnosis::evaluation_error(stderr),
            });
        }
        if is_of_a_newer_lock_file(&spoken) {
            return Some(Self::NewerLockFile {
                detail: diagnosis::evaluation_error(stderr),
            });
        }
        let missing = |words: &str| format!("{words} '{}'", flake.revision);
        if says(&[
            &missing("Cannot find Git revision"),
            &missing("getting Git object"),
        ]) {
            return Some(Self::RevisionMissing {
                revision: flake.revision.clone(),
                detail: summary(),
            });
        }
        if let Some(cause) = fetch::fetch(stderr) {
            return Some(Self::InputFetch {
                cause,
                detail: summary(),
            });
        }
        if says(&["does not provide attribute"]) && says(&["'nixosConfigurations'"]) {
            return Some(Self::NoConfigurations);
        }
        // Nix 2.8 names the folder where newer versions name the file in it.
        let folder = format!("-source/{}': No such file", flake.folder.trim_matches('/'));
        if says(&[
            "/flake.nix': No such file",
            "/flake.nix' does not exist",
            &folder,
        ]) {
            return Some(Self::NoFlake {
                folder: flake.folder.clone(),
            });
        }
        None
    }

    /// What Nix printed is not what was asked for.
    pub(super) fn of_answer(source: serde_json::Error) -> Self {
        // What stands for a path that is not known yet is in no store (Nix, downstream-placeholder.cc).
        if source.to_string().contains("` is not in /nix/store") {
            Self::ContentAddressed
        } else {
            Self::Unexpected { source }
        }
    }

    /// Names the cause, if it is a build that the evaluation needs.
    fn of_build(finished: &Finished) -> Option<Self> {
        let own = diagnosis::error_text(&finished.stderr);
        if diagnosis::needs_another_machine(&own) {
            return Some(Self::ImportedSystem { detail: own });
        }
        if let Some(builder) = diagnosis::builder::failed_builder(&finished.stderr) {
            return Some(Self::of_builder(&builder, &own));
        }
        let code = finished.status.code()?;
        BUILD_FAILED
            .contains(&code)
            .then_some(Self::ImportedBuild { detail: own })
    }

    fn of_builder(builder: &FailedBuilder, own: &str) -> Self {
        let detail = format!("{} {}\n{}", builder.derivation, builder.how, builder.log);
        if let Some(cause) = failed_download(builder, own) {
            return Self::InputFetch { cause, detail };
        }
        if builder.was_killed() {
            return Self::Nix(NixTrouble::OutOfMemory { detail });
        }
        match NixTrouble::of_builder(builder) {
            Some(trouble) => Self::Nix(trouble),
            None => Self::ImportedBuild { detail },
        }
    }
}

/// Whether the lock file has a version or an attribute that this Nix does not know (lockfile.cc, fetchers.cc):
/// until 2.19, and since.
fn is_of_a_newer_lock_file(said: &str) -> bool {
    said.lines().any(|line| {
        (line.contains("lock file '") && line.contains("has unsupported version"))
            || (line.contains("error: unsupported ") && line.contains(" input attribute '"))
            || (line.contains("input attribute '") && line.contains("' not supported by scheme '"))
    })
}

/// At most this many of a flake's hosts are listed in an error.
const LISTED: usize = 30;

fn choices(nearest: Option<&str>, available: &[String]) -> String {
    let nearest = nearest
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    let more = if available.len() > LISTED {
        ", …"
    } else {
        ""
    };
    let listed = available
        .iter()
        .take(LISTED)
        .map(|name| name.escape_debug().to_string())
        .collect::<Vec<_>>();
    format!("{nearest} It has: {}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests;
