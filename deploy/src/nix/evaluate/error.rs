//! Why the flake has no answer for a host.

use crate::attribute::Attribute;
use crate::command::Finished;
use crate::flake::FlakeSource;
use crate::nix::diagnosis;
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
            | Self::Unexpected { .. } => true,
            Self::AttributeMissing { .. }
            | Self::NoConfigurations
            | Self::NoFlake { .. }
            | Self::RevisionMissing { .. }
            | Self::MirrorOwner { .. }
            | Self::LockFile { .. } => false,
        }
    }

    /// Names the cause of a failed evaluation.
    pub(super) fn of(finished: &Finished, flake: &FlakeSource) -> Self {
        let stderr = finished.stderr.as_str();
        if let Some(trouble) = NixTrouble::of(finished) {
            return Self::Nix(trouble);
        }
        Self::of_source(stderr, flake)
            .or_else(|| Self::of_build(finished))
            .unwrap_or_else(|| Self::Code {
                detail: diagnosis::evaluation_error(stderr),
            })
    }

    /// Names the cause, if it is that the flake or an input of it is not there as it should be.
    fn of_source(stderr: &str, flake: &FlakeSource) -> Option<Self> {
        let says = |signs: &[&str]| diagnosis::has_any(stderr, signs);
        let summary = || diagnosis::summary(stderr);
        if says(&["detected dubious ownership in repository"]) {
            return Some(Self::MirrorOwner { detail: summary() });
        }
        if says(&LOCK_FILE) {
            return Some(Self::LockFile {
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

    /// Names the cause, if it is a build that the evaluation needs.
    fn of_build(finished: &Finished) -> Option<Self> {
        let stderr = finished.stderr.as_str();
        if diagnosis::needs_another_machine(stderr) {
            return Some(Self::ImportedSystem {
                detail: diagnosis::error_text(stderr),
            });
        }
        if let Some(builder) = diagnosis::builder::failed_builder(stderr) {
            return Some(Self::ImportedBuild {
                detail: format!("{} {}\n{}", builder.derivation, builder.how, builder.log),
            });
        }
        let code = finished.status.code()?;
        BUILD_FAILED.contains(&code).then(|| Self::ImportedBuild {
            detail: diagnosis::error_text(stderr),
        })
    }
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
mod tests {
    use super::*;
    use crate::nix::diagnosis::tests::recorded;

    fn source(case: &str) -> FlakeSource {
        // The recorded inputs that cannot be fetched have this revision too.
        let digits = if case == "norevision" {
            "0123456789"
        } else {
            "abcdef0123"
        };
        FlakeSource {
            mirror: "/srv/git/throw".into(),
            folder: "sub".into(),
            revision: digits.repeat(4),
        }
    }

    /// The variant's name.
    fn variant(error: &EvaluateError) -> String {
        let text = format!("{error:?}");
        text.split([' ', '(', '{']).next().unwrap().to_owned()
    }

    #[test]
    fn every_recorded_failure_of_three_versions_of_nix_is_named() {
        let expected = [
            ("fetchgithub", "InputFetch", "network"),
            ("fetchhttp1270014080privategit", "InputFetch", "access"),
            ("fetchhttps1270011xgit", "InputFetch", "network"),
            ("fetchsshgit1270011xgit", "InputFetch", "network"),
            ("fetchsshgitnowhereinvalidxgit", "InputFetch", "network"),
            ("fetchtarball", "InputFetch", "access"),
            ("ifd", "ImportedBuild", "oh no"),
            ("ifdsystem", "ImportedSystem", "aarch64-linux"),
            ("nested", "Code", "nope.nix"),
            ("noconf", "NoConfigurations", ""),
            ("noflake", "NoFlake", ""),
            ("nofolder", "NoFlake", "`sub`"),
            ("nolock", "LockFile", "commit flake.lock"),
            ("nolockgithub", "LockFile", "commit flake.lock"),
            ("stalelock", "LockFile", "commit flake.lock"),
            ("norevision", "RevisionMissing", "01234567"),
            ("notoplevel", "Code", "attribute 'config' missing"),
            ("option", "Code", "Did you mean `services.food'?"),
            (
                "recursion",
                "Code",
                "infinite recursion encountered (at flake.nix:1:86)",
            ),
            ("stack", "Code", "stack overflow"),
            ("syntax", "Code", "(at flake.nix:1:55)"),
            (
                "throw",
                "Code",
                "Failed assertions:\n- The option `foo' is bad\n- And this",
            ),
            (
                "undefined",
                "Code",
                "attribute 'missing' missing (at flake.nix:1:89)",
            ),
        ];
        for version in ["2.8.0", "2.26.3", "2.34.8"] {
            for (case, kind, words) in expected {
                let finished = recorded("evaluate", version, case);
                let error = EvaluateError::of(&finished, &source(case));
                let shown = error.to_string();
                assert_eq!(variant(&error), kind, "{version} {case}: {shown}");
                let words = match words {
                    "network" => FetchCause::Network.mend(),
                    "access" => FetchCause::Access.mend(),
                    words => words,
                };
                assert!(shown.contains(words), "{version} {case}: {shown}");
                assert!(shown.lines().count() <= 16, "{version} {case}: {shown}");
                assert!(
                    !shown.contains("while evaluating"),
                    "{version} {case}: {shown}"
                );
                let fetches = ["InputFetch", "RevisionMissing"].contains(&kind);
                assert_eq!(error.is_worth_retrying(), fetches, "{version} {case}");
                assert!(!error.is_timeout(), "{version} {case}");
            }
        }
    }

    #[test]
    fn a_missing_host_is_told_with_the_nearest_name_and_the_others() {
        let error = EvaluateError::AttributeMissing {
            attribute: "cyt_pi".parse().unwrap(),
            nearest: Some("cyt-pi".into()),
            available: vec!["cyt-pi".into(), "uConsole".into()],
        };
        assert_eq!(
            error.to_string(),
            "the flake has no nixosConfigurations.cyt_pi; did you mean `cyt-pi`? It has: cyt-pi, uConsole"
        );
    }
}
