//! What the process's exit code says, and every way a command can fail.

use crate::commands::error::{Fault, RequestError};
use crate::context::ContextError;
use std::process::ExitCode;

use http::StatusCode;

use crate::api::client::ClientError;
use crate::config::{Diagnostics, LocateError};
use crate::daemon::ServeError;
use crate::state::lock::LockError;
use crate::telemetry::logging::LoggingError;

/// The table of `--help` and the README.
pub const TABLE: &str = "\
Exit codes (of several hosts, the worst counts):
  0  every host is where it was asked to be
  1  something else than a host failed: the state, the connection to the daemon
  2  the command line or the config is wrong
  3  a host failed: evaluation, build, copy, activation or reboot
  4  in sync, but units are failed there, or it needs a reboot to get there
  5  a host does not answer; what runs there is unknown
  6  a host was left as it is: suspended, in quarantine, outside of its window, no commit known, or not tried again without --force
  7  another process works on the state";

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every host is where it was asked to be.
    Done,
    /// Something else than a host failed.
    Trouble,
    /// The command line or the config is wrong.
    Usage,
    /// A host failed.
    HostFailed,
    /// In sync but degraded, or a reboot is needed.
    Degraded,
    /// A host does not answer.
    Unreachable,
    /// A host was left as it is.
    LeftAsItIs,
    /// Another process works on the state.
    Busy,
}

impl Exit {
    /// How bad it is: of several hosts, the worst counts.
    pub fn severity(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Degraded => 1,
            Self::LeftAsItIs => 2,
            Self::Unreachable => 3,
            Self::HostFailed => 4,
            Self::Trouble | Self::Usage | Self::Busy => 5,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Trouble => 1,
            Self::Usage => 2,
            Self::HostFailed => 3,
            Self::Degraded => 4,
            Self::Unreachable => 5,
            Self::LeftAsItIs => 6,
            Self::Busy => 7,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// There is no config file.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The config is wrong.
    #[error(transparent)]
    Config(#[from] Diagnostics),
    /// Logging could not be set up.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// The daemon could not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The daemon could not be spoken with.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Another process works on the state.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The request makes no sense, or cannot be carried out.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A command and the manual override at once.
    #[error(
        "--host and --all reconcile by themselves and go with no command; a command takes its own --host after its name"
    )]
    Mixed,
    /// Neither a command nor the manual override.
    #[error(
        "nothing to do: name hosts with --host, or all with --all, or give a command; see --help"
    )]
    NothingAsked,
    /// Nobody is there to do it later.
    #[error("no daemon runs that could go on: start `reconcile serve`, or leave out --no-wait")]
    NobodyToGoOn,
    /// Ended by a signal.
    #[error("interrupted; an activation that has begun goes on by itself on its host")]
    Interrupted,
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
    /// The manual pages cannot be written.
    #[error("cannot write manual pages into {}", .folder.display())]
    ManPages {
        /// The folder.
        folder: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No threads.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
}

impl CliError {
    /// The exit code for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Locate(_)
            | Self::Config(_)
            | Self::Mixed
            | Self::NothingAsked
            | Self::NobodyToGoOn => Exit::Usage,
            Self::Logging(LoggingError::Level(_))
            | Self::Lock(LockError::NotRoots { .. })
            | Self::Serve(ServeError::Lock(LockError::NotRoots { .. })) => Exit::Usage,
            Self::Lock(LockError::Held { .. })
            | Self::Serve(ServeError::Lock(LockError::Held { .. })) => Exit::Busy,
            Self::Request(error) => match error.fault() {
                Fault::Askers => Exit::Usage,
                Fault::Away => Exit::Unreachable,
                Fault::NothingToDeploy => Exit::LeftAsItIs,
                Fault::Ours => Exit::Trouble,
            },
            Self::Client(ClientError::Refused { status, .. }) => match *status {
                StatusCode::GATEWAY_TIMEOUT => Exit::Unreachable,
                StatusCode::CONFLICT => Exit::LeftAsItIs,
                status if status.is_client_error() => Exit::Usage,
                _ => Exit::Trouble,
            },
            _ => Exit::Trouble,
        }
    }
}
