//! Why a system could not be built.

use std::io;
use std::path::PathBuf;

use crate::command::Finished;
use crate::nix::copy::CopyError;
use crate::nix::diagnosis;
use crate::nix::diagnosis::builder::{FailedBuilder, failed_builder};
use crate::nix::download::failed_download;
use crate::nix::fetch::{self, FetchCause};
use crate::nix::trouble::NixTrouble;
use crate::ssh::SshError;
use crate::toplevel::Toplevel;

/// What Nix says of a derivation that is not in the store.
const GONE: [&str; 4] = [
    "cannot build missing derivation",
    "failed to obtain derivation of",
    "build of missing derivation",
    "don't know how to build",
];
/// What is said where a builder does not answer: ssh speaks for itself then, and Nix says that it has none.
const NO_BUILDER: [&str; 2] = [
    "cannot build on 'ssh",
    "Failed to find a machine for remote build",
];

/// Why a system could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nix, or the machine that it runs on.
    #[error("build: {0}")]
    Nix(#[source] NixTrouble),
    /// Nix on the host, for a build there.
    #[error("build on the host: {0}")]
    OnTarget(#[source] NixTrouble),
    /// The machine cannot build for that architecture.
    #[error(
        "this machine ({ours}) cannot build for {system}: register QEMU's binfmt handler and add \
         {system} to extra-platforms in nix.conf, or name a builder (build_on = \"<ssh destination>\"), \
         or build on the host itself (build_on = \"target\")"
    )]
    SystemUnsupported {
        /// What is to be built.
        system: String,
        /// What this machine is.
        ours: String,
    },
    /// Some derivation needs a system or feature that neither we nor the builders have.
    #[error(
        "a part of the system needs another machine to be built; name a builder that has it: {detail}"
    )]
    PartUnsupported {
        /// What Nix said.
        detail: String,
    },
    /// A builder failed: the revision is at fault.
    #[error("{derivation} {how}; the last lines of its log:\n{log}")]
    BuilderFailed {
        /// The derivation.
        derivation: String,
        /// How it ended.
        how: String,
        /// The last lines that it printed.
        log: String,
    },
    /// A builder was killed.
    #[error(
        "{derivation} {how}: most likely the machine that builds ran out of memory; the last lines of its log:\n{log}"
    )]
    BuilderKilled {
        /// The derivation.
        derivation: String,
        /// How it ended.
        how: String,
        /// The last lines that it printed.
        log: String,
    },
    /// A source could not be fetched.
    #[error("a source could not be fetched; {}: {detail}", cause.mend())]
    SourceFetch {
        /// Why.
        cause: FetchCause,
        /// What Nix or its builder said.
        detail: String,
    },
    /// The remote builder does not answer.
    #[error(
        "the builder cannot be used (check its SSH destination, its key, and that its Nix has {system}): {detail}"
    )]
    BuilderUnreachable {
        /// What it was to build for.
        system: String,
        /// What Nix or ssh said.
        detail: String,
    },
    /// The derivation was garbage-collected since it was evaluated.
    #[error("the derivation is gone from the store since its evaluation; evaluate again: {detail}")]
    DerivationGone {
        /// What Nix said.
        detail: String,
    },
    /// The derivation could not be taken to the host that is to build it.
    #[error("to build on the host: {0}")]
    Copy(#[source] CopyError),
    /// The connection to the host failed.
    #[error("to build on the host: {0}")]
    Ssh(#[source] SshError),
    /// `build_on = "target"`, and there is no connection to the host.
    #[error("build_on = \"target\" needs a connection to the host")]
    NoTarget,
    /// A host or a revision cannot name a GC root.
    #[error("`{0}` cannot name a file")]
    Name(String),
    /// A path for ssh has white space or quotes, which Nix cannot hand on.
    #[error(
        "the path of the ssh_config file has white space or quotes, which NIX_SSHOPTS cannot carry"
    )]
    AwkwardPath,
    /// The directory of GC roots cannot be used.
    #[error("cannot keep the build from the garbage collector at {path}: {source}")]
    Root {
        /// The GC root, or its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was built is not what was evaluated.
    #[error("Nix built {built} where the evaluation said {evaluated}")]
    Another {
        /// The GC root's target.
        built: String,
        /// The evaluation's.
        evaluated: Toplevel,
    },
    /// Nix failed, and the cause is none of the above.
    #[error("Nix could not build it: {detail}")]
    Failed {
        /// What Nix said.
        detail: String,
    },
}

impl BuildError {
    /// Whether the cause can pass by itself: the machine's, the network's and the connection's can; a
    /// builder that failed will fail again.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Nix(trouble) | Self::OnTarget(trouble) => trouble.is_worth_retrying(),
            Self::Copy(error) => error.is_worth_retrying(),
            Self::Ssh(error) => error.is_worth_retrying(),
            Self::BuilderKilled { .. }
            | Self::SourceFetch { .. }
            | Self::BuilderUnreachable { .. }
            | Self::DerivationGone { .. }
            | Self::Root { .. } => true,
            Self::SystemUnsupported { .. }
            | Self::PartUnsupported { .. }
            | Self::BuilderFailed { .. }
            | Self::NoTarget
            | Self::Name(_)
            | Self::AwkwardPath
            | Self::Another { .. }
            | Self::Failed { .. } => false,
        }
    }

    /// Whether a part of it was given up at its limit of time.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Nix(trouble) | Self::OnTarget(trouble) => trouble.is_timeout(),
            Self::Copy(error) => error.is_timeout(),
            Self::Ssh(error) => error.is_timeout(),
            _ => false,
        }
    }

    /// Whether the derivation has to be evaluated again before another try makes sense.
    pub fn needs_evaluation(&self) -> bool {
        matches!(
            self,
            Self::DerivationGone { .. } | Self::Copy(CopyError::PathGone { .. })
        )
    }

    /// Names the cause of a failed build. `general` says on which machine Nix failed.
    pub(super) fn of(finished: &Finished, system: &str, general: fn(NixTrouble) -> Self) -> Self {
        if let Some(error) = Self::of_remote(finished, system) {
            return error;
        }
        if let Some(trouble) = NixTrouble::of(finished) {
            return general(trouble);
        }
        if let Some(error) = Self::of_derivation(finished, general) {
            return error;
        }
        let detail = diagnosis::summary(&finished.stderr);
        if let Some(cause) = fetch::fetch(&finished.stderr) {
            return Self::SourceFetch { cause, detail };
        }
        match NixTrouble::passing(finished) {
            Some(trouble) => general(trouble),
            None => Self::Failed { detail },
        }
    }

    /// The same for a build in a host's store, where the connection may be what failed; but not where a
    /// derivation is known to have.
    pub(super) fn on_target(finished: &Finished, system: &str, address: &str) -> Self {
        Self::of_derivation(finished, Self::OnTarget)
            .or_else(|| CopyError::of_connection(finished, address).map(Self::Copy))
            .unwrap_or_else(|| Self::of(finished, system, Self::OnTarget))
    }

    /// Names the cause, if it is that a builder of this machine's Nix does not answer.
    fn of_remote(finished: &Finished, system: &str) -> Option<Self> {
        let stderr = finished.stderr.as_str();
        diagnosis::has_any(&diagnosis::spoken(stderr), &NO_BUILDER).then(|| {
            Self::BuilderUnreachable {
                system: system.to_owned(),
                detail: diagnosis::summary(stderr),
            }
        })
    }

    /// Names the cause, if it is known of which derivation it is.
    fn of_derivation(finished: &Finished, general: fn(NixTrouble) -> Self) -> Option<Self> {
        let stderr = finished.stderr.as_str();
        let own = diagnosis::error_text(stderr);
        if diagnosis::has_any(&own, &GONE) {
            return Some(Self::DerivationGone { detail: own });
        }
        if diagnosis::needs_another_machine(&own) {
            return Some(Self::PartUnsupported { detail: own });
        }
        let builder = failed_builder(stderr)?;
        Some(Self::of_builder(builder, &own, general))
    }

    /// Names the cause of a builder's failure. `own` is what Nix itself said.
    fn of_builder(builder: FailedBuilder, own: &str, general: fn(NixTrouble) -> Self) -> Self {
        if let Some(cause) = failed_download(&builder, own) {
            return Self::SourceFetch {
                cause,
                detail: format!("{}\n{own}", builder.log),
            };
        }
        if let Some(trouble) = NixTrouble::of_builder(&builder) {
            return general(trouble);
        }
        let was_killed = builder.was_killed();
        let FailedBuilder {
            derivation,
            how,
            log,
        } = builder;
        if was_killed {
            return Self::BuilderKilled {
                derivation,
                how,
                log,
            };
        }
        Self::BuilderFailed {
            derivation,
            how,
            log,
        }
    }
}

#[cfg(test)]
mod tests;
