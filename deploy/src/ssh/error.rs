//! What can go wrong between us and a host, with the mend.

use std::fmt;
use std::io;
use std::time::Duration;

use super::login_fault::LoginFault;

/// A host could not be reached, or a command could not be run on it.
///
/// What a command itself did (its exit code) is never an error here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The host has no destination.
    #[error("no SSH destination is given for this host")]
    NoDestination,
    /// No destination let us in.
    #[error("{}", list(.failures))]
    NotReached {
        /// What failed, in the order in which it was tried.
        failures: Vec<DestinationFailure>,
    },
    /// The connection broke while a command ran. Whether the command did its work is unknown.
    #[error("{address}: the connection was lost while `{program}` ran")]
    Lost {
        /// The destination.
        address: String,
        /// The command's program.
        program: String,
    },
    /// A command took too long. It may still run on the host.
    #[error("{address}: `{program}` did not end within {} s", .after.as_secs_f32())]
    CommandTimedOut {
        /// The destination.
        address: String,
        /// The command's program.
        program: String,
        /// How long it was given.
        after: Duration,
    },
    /// sshd did not open another session over this connection.
    #[error(
        "{address}: the server refused another session; lower `max_sessions` or raise sshd's \
         MaxSessions there: {detail}"
    )]
    SessionRefused {
        /// The destination.
        address: String,
        /// What the client said.
        detail: String,
    },
    /// `sudo` is not there.
    #[error("{address}: sudo is not installed there; log in as root, or install it")]
    SudoMissing {
        /// The destination.
        address: String,
    },
    /// `sudo` asks for a password.
    #[error(
        "{address}: sudo asks for a password; allow that user NOPASSWD \
         (`security.sudo.extraRules`, or `security.sudo.wheelNeedsPassword = false`)"
    )]
    SudoPassword {
        /// The destination.
        address: String,
    },
    /// `sudo` refuses that user.
    #[error("{address}: sudo refuses that user: {detail}")]
    SudoRefused {
        /// The destination.
        address: String,
        /// What sudo said.
        detail: String,
    },
    /// The control socket of our own ssh client failed.
    #[error("{address}: the local ssh client failed")]
    Client {
        /// The destination.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why one destination did not let us in.
#[derive(Debug)]
pub struct DestinationFailure {
    /// The destination's address.
    pub address: String,
    /// What failed.
    pub fault: LoginFault,
}

impl fmt::Display for DestinationFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.address, self.fault)
    }
}

/// The failures, one after the other, in one line.
fn list(failures: &[DestinationFailure]) -> String {
    let all: Vec<String> = failures.iter().map(DestinationFailure::to_string).collect();
    all.join("; ")
}

impl SshError {
    /// Whether trying again later can succeed without anybody's doing. Configuration faults
    /// are not: a person has to mend them.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            SshError::NotReached { failures } => failures
                .iter()
                .any(|failure| failure.fault.is_worth_retrying()),
            SshError::Lost { .. }
            | SshError::CommandTimedOut { .. }
            | SshError::SessionRefused { .. }
            | SshError::Client { .. } => true,
            SshError::NoDestination
            | SshError::SudoMissing { .. }
            | SshError::SudoPassword { .. }
            | SshError::SudoRefused { .. } => false,
        }
    }

    /// Whether the host was reached and did not let us in, or not become root: a person has to mend the key,
    /// the host key or `sudo`. One destination that shows it decides, as in
    /// [`SshError::is_unreachable`].
    pub fn is_access_refused(&self) -> bool {
        match self {
            SshError::NotReached { failures } => failures
                .iter()
                .any(|failure| failure.fault.is_access_refused()),
            SshError::SudoMissing { .. }
            | SshError::SudoPassword { .. }
            | SshError::SudoRefused { .. } => true,
            SshError::NoDestination
            | SshError::Lost { .. }
            | SshError::CommandTimedOut { .. }
            | SshError::SessionRefused { .. }
            | SshError::Client { .. } => false,
        }
    }

    /// Whether all that failed is this machine's own, and so says nothing about the host.
    pub fn is_ours(&self) -> bool {
        match self {
            SshError::NotReached { failures } => {
                failures.iter().all(|failure| failure.fault.is_ours())
            }
            SshError::NoDestination | SshError::Client { .. } => true,
            _ => false,
        }
    }

    /// Whether a command was given up at its limit of time. A host that does not answer a login in time is
    /// unreachable instead.
    pub fn is_timeout(&self) -> bool {
        matches!(self, SshError::CommandTimedOut { .. })
    }

    /// Whether the host is simply not there (off, cut off, busy), as opposed to a fault of
    /// configuration. One destination that shows such a fault decides, so that it is not hidden
    /// behind another that is merely away.
    pub fn is_unreachable(&self) -> bool {
        match self {
            SshError::NotReached { failures } => failures
                .iter()
                .all(|failure| failure.fault.is_unreachable()),
            SshError::Lost { .. } | SshError::CommandTimedOut { .. } => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_reached(faults: impl IntoIterator<Item = LoginFault>) -> SshError {
        let failure = |fault| DestinationFailure {
            address: "pi".to_owned(),
            fault,
        };
        SshError::NotReached {
            failures: faults.into_iter().map(failure).collect(),
        }
    }

    #[test]
    fn one_refused_login_decides_and_a_host_that_is_away_refuses_nobody() {
        let denied = || LoginFault::PermissionDenied("publickey".to_owned());
        for (error, is_refused) in [
            (not_reached([denied()]), true),
            (not_reached([LoginFault::Refused, denied()]), true),
            (not_reached([LoginFault::Refused]), false),
            (not_reached([LoginFault::ClientMissing]), false),
            (SshError::NoDestination, false),
        ] {
            assert_eq!(error.is_access_refused(), is_refused, "{error}");
            assert!(!error.is_timeout(), "{error}");
        }
    }

    #[test]
    fn what_this_machine_lacks_says_nothing_about_the_host() {
        let route = |words: &str| LoginFault::NoRoute(words.to_owned());
        for (error, is_ours) in [
            (not_reached([LoginFault::ClientMissing]), true),
            (
                not_reached([route("connect: Network is unreachable")]),
                true,
            ),
            (not_reached([route("connect: No route to host")]), false),
            (
                not_reached([LoginFault::ClientMissing, LoginFault::Refused]),
                false,
            ),
            (
                not_reached([LoginFault::PermissionDenied(String::new())]),
                false,
            ),
        ] {
            assert_eq!(error.is_ours(), is_ours, "{error}");
        }
    }

    #[test]
    fn a_sudo_that_does_not_make_us_root_is_a_refusal() {
        let address = || "pi".to_owned();
        for error in [
            SshError::SudoMissing { address: address() },
            SshError::SudoPassword { address: address() },
            SshError::SudoRefused {
                address: address(),
                detail: String::new(),
            },
        ] {
            assert!(error.is_access_refused(), "{error}");
        }
    }
}
