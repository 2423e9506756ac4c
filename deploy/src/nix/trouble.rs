//! What can go wrong with Nix on any machine, whatever Nix was asked to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::command::{CommandError, Finished, Patience};
use crate::nix::access::UnusableToken;
use crate::nix::diagnosis::builder::FailedBuilder;
use crate::nix::diagnosis::general::{self, General};
use crate::nix::diagnosis::{last_words, summary};
use crate::shell::NulByte;

/// What can go wrong with Nix on any machine, whatever Nix was asked to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NixTrouble {
    /// There is no such program in `PATH`.
    #[error("`{program}` was not found: {}", not_found_mend(found_in.as_ref()))]
    NotFound {
        /// `nix` or `nix-store`.
        program: String,
        /// Where it is all the same.
        found_in: Option<PathBuf>,
    },
    /// The program could not be started, or not be followed to its end.
    #[error("cannot run `{program}`: {source}")]
    NotRun {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It took longer than its limit and was ended with all that it had started.
    #[error("took longer than {after:?} and was ended{}", said_last(last_words))]
    TimedOut {
        /// The limit.
        after: Duration,
        /// The last lines that it printed.
        last_words: String,
    },
    /// It wrote nothing for its limit and was ended with all that it had started.
    #[error("sent nothing for {after:?} and was ended{}", said_last(last_words))]
    Silent {
        /// The limit.
        after: Duration,
        /// The last lines that it printed.
        last_words: String,
    },
    /// It printed more than we read.
    #[error("printed more than {limit} bytes and was ended")]
    TooMuchOutput {
        /// The limit.
        limit: usize,
    },
    /// A signal ended it.
    #[error("was killed by signal {signal}{}", if *signal == 9 { ": most likely the machine or its container ran out of memory; give it more, or set build_on = \"target\" or a builder" } else { "" })]
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// There was not enough memory.
    #[error("ran out of memory; give the machine or its container more: {detail}")]
    OutOfMemory {
        /// What Nix said.
        detail: String,
    },
    /// A disk is full.
    #[error(
        "a disk is full (free some space: `nix-collect-garbage`, or set min-free in nix.conf): {detail}"
    )]
    DiskFull {
        /// What Nix said.
        detail: String,
    },
    /// The Nix daemon does not answer.
    #[error(
        "the Nix daemon does not answer (start nix-daemon, or unset NIX_REMOTE where there is none): {detail}"
    )]
    DaemonUnreachable {
        /// What Nix said.
        detail: String,
    },
    /// The Nix daemon went away while it was asked.
    #[error(
        "the Nix daemon went away in the middle: it was restarted, or killed for want of memory: {detail}"
    )]
    DaemonGone {
        /// What Nix said.
        detail: String,
    },
    /// The kernel or the store's database refused something.
    #[error("the machine failed Nix: {detail}")]
    System {
        /// What Nix said.
        detail: String,
    },
    /// Nix ended without an error of its own.
    #[error("Nix ended without saying why{}", said_last(detail))]
    Unexplained {
        /// What was printed last.
        detail: String,
    },
    /// The store cannot be written.
    #[error(
        "the Nix store cannot be written (run as root, use the daemon with NIX_REMOTE=daemon, or mount /nix writable): {detail}"
    )]
    StoreNotWritable {
        /// What Nix said.
        detail: String,
    },
    /// The machine cannot sandbox builds.
    #[error(
        "this machine cannot build in a sandbox (give the container the privilege, or set `sandbox = false` in nix.conf, which is safe only where all of the repository is trusted): {detail}"
    )]
    SandboxImpossible {
        /// What Nix said.
        detail: String,
    },
    /// There are no build users.
    #[error(
        "the group of build users does not exist or is empty (set `build-users-group =` in nix.conf where root builds, as in a container, or create it): {detail}"
    )]
    BuildGroupMissing {
        /// What Nix said.
        detail: String,
    },
    /// It is told to build nothing, and nobody builds for it.
    #[error(
        "this Nix builds nothing itself (max-jobs = 0 in nix.conf), and no builder of it takes this: raise max-jobs, or name a builder: {detail}"
    )]
    BuildsNothing {
        /// What Nix said.
        detail: String,
    },
    /// A binary cache cannot be reached.
    #[error(
        "a binary cache cannot be reached (check the route, DNS, the proxy variables http_proxy, https_proxy and no_proxy, and `substituters` in nix.conf): {detail}"
    )]
    CacheUnreachable {
        /// What Nix said.
        detail: String,
    },
    /// Something that was fetched is not what its hash says.
    #[error("something fetched is not what was expected: {detail}")]
    HashMismatch {
        /// What Nix said.
        detail: String,
    },
    /// The helper files for Nix cannot be written, or the token not be read.
    #[error("cannot prepare Nix's private files at {path}: {source}")]
    Preparation {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nix does not tell its configuration.
    #[error("cannot read Nix's configuration: {detail}")]
    Configuration {
        /// What Nix said.
        detail: String,
    },
    /// A path or a name cannot be handed to git and ssh.
    #[error("cannot set Nix's environment: {0}")]
    NulByte(#[source] NulByte),
    /// The token file's content cannot be used.
    #[error("cannot use {path}: {source}")]
    Token {
        /// The token file.
        path: PathBuf,
        /// Why.
        #[source]
        source: UnusableToken,
    },
}

impl NixTrouble {
    /// Whether the cause can pass by itself: memory, disks, networks, daemons and slowness can; what a
    /// person must install or set cannot.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::NotRun { .. }
            | Self::TimedOut { .. }
            | Self::Silent { .. }
            | Self::Killed { .. }
            | Self::OutOfMemory { .. }
            | Self::DiskFull { .. }
            | Self::DaemonUnreachable { .. }
            | Self::DaemonGone { .. }
            | Self::System { .. }
            | Self::Unexplained { .. }
            | Self::BuildsNothing { .. }
            | Self::CacheUnreachable { .. }
            | Self::Preparation { .. }
            // Nobody tells us of a file that was mended, and a look at it costs nothing.
            | Self::Token { .. } => true,
            Self::NotFound { .. }
            | Self::TooMuchOutput { .. }
            | Self::StoreNotWritable { .. }
            | Self::SandboxImpossible { .. }
            | Self::BuildGroupMissing { .. }
            | Self::HashMismatch { .. }
            | Self::Configuration { .. }
            | Self::NulByte(_) => false,
        }
    }

    /// Whether it was given up at its limit of time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Silent { .. })
    }

    /// Whether one host's part of a common evaluation can be the cause, so that the others should be
    /// evaluated without it.
    pub(crate) fn can_be_one_hosts(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. }
                | Self::Killed { .. }
                | Self::OutOfMemory { .. }
                | Self::Unexplained { .. }
                | Self::BuildsNothing { .. }
                | Self::CacheUnreachable { .. }
                | Self::HashMismatch { .. }
        )
    }

    /// The general cause of a failure, if Nix named one.
    pub(crate) fn of(finished: &Finished) -> Option<Self> {
        use std::os::unix::process::ExitStatusExt;

        if let Some(signal) = finished.status.signal() {
            return Some(Self::Killed { signal });
        }
        Some(Self::named(
            general::general(&finished.stderr)?,
            &finished.stderr,
        ))
    }

    /// What can pass by itself, where a failure has not been recognised.
    pub(crate) fn passing(finished: &Finished) -> Option<Self> {
        Some(Self::named(
            general::passing(&finished.stderr)?,
            &finished.stderr,
        ))
    }

    /// What a builder died of, if it is the machine's: only its log says that the disk was full.
    pub(crate) fn of_builder(builder: &FailedBuilder) -> Option<Self> {
        builder
            .log
            .contains("No space left on device")
            .then(|| Self::DiskFull {
                detail: builder.log.clone(),
            })
    }

    fn named(cause: General, stderr: &str) -> Self {
        let detail = summary(stderr);
        match cause {
            General::DiskFull => Self::DiskFull { detail },
            General::OutOfMemory => Self::OutOfMemory { detail },
            General::DaemonUnreachable => Self::DaemonUnreachable { detail },
            General::StoreNotWritable => Self::StoreNotWritable { detail },
            General::SandboxImpossible => Self::SandboxImpossible { detail },
            General::BuildGroupMissing => Self::BuildGroupMissing { detail },
            General::BuildsNothing => Self::BuildsNothing { detail },
            General::CacheUnreachable => Self::CacheUnreachable { detail },
            General::HashMismatch => Self::HashMismatch { detail },
            General::DaemonGone => Self::DaemonGone { detail },
            General::System => Self::System { detail },
            General::Unexplained => Self::Unexplained { detail },
        }
    }
}

impl From<CommandError> for NixTrouble {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound { program } => {
                let found_in = installed_outside_path(&program);
                Self::NotFound { program, found_in }
            }
            CommandError::Start { program, source } | CommandError::Follow { program, source } => {
                Self::NotRun { program, source }
            }
            CommandError::TimedOut {
                after,
                patience,
                stderr,
                ..
            } => {
                let last_words = last_words(&stderr);
                match patience {
                    Patience::Whole => Self::TimedOut { after, last_words },
                    Patience::Silence => Self::Silent { after, last_words },
                }
            }
            CommandError::TooMuchOutput { limit, .. } => Self::TooMuchOutput { limit },
        }
    }
}

/// The profiles in which installers put Nix: multi-user and Determinate, NixOS, single-user as root.
const PROFILES: [&str; 3] = [
    "/nix/var/nix/profiles/default/bin",
    "/run/current-system/sw/bin",
    "/root/.nix-profile/bin",
];

fn installed_outside_path(program: &str) -> Option<PathBuf> {
    PROFILES
        .iter()
        .map(PathBuf::from)
        .find(|directory| directory.join(program).exists())
}

fn not_found_mend(found_in: Option<&PathBuf>) -> String {
    match found_in {
        Some(directory) => format!("it is in {}, which PATH lacks; add it", directory.display()),
        None => "Nix is not installed, or PATH lacks its profile (often /nix/var/nix/profiles/default/bin)".to_owned(),
    }
}

fn said_last(last_words: &str) -> String {
    if last_words.is_empty() {
        String::new()
    } else {
        format!("; it last said:\n{last_words}")
    }
}
