//! Why a login failed, with the mend.

use std::io;
use std::time::Duration;

use crate::destination::AddressError;

/// What strerror(3) says of ENETUNREACH: no route leads out of this machine. Of EHOSTUNREACH it says another sentence,
/// and that comes from further away.
const NETWORK_UNREACHABLE: &str = "Network is unreachable";

/// Why a login failed, as far as `ssh` tells.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginFault {
    /// The address cannot be given to `ssh`.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The name has no address.
    #[error("the host name is unknown: {0}; check HostName in the ssh_config and the DNS")]
    NameUnknown(String),
    /// Nothing listens on that port.
    #[error(
        "connection refused: nothing listens on that port; check Port, or sshd or the tunnel is down"
    )]
    Refused,
    /// The network does not lead there.
    #[error("no way to the host: {0}")]
    NoRoute(String),
    /// There was no answer in time.
    #[error("no answer within {} s; the host is off, or a firewall drops us", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The server was there, said something, and had not let us in in time.
    #[error(
        "no login within {} s, though the server answers: it asks for something before it lets us in, or is slow; it says: {said}",
        .after.as_secs_f32()
    )]
    NotLetIn {
        /// How long it was given.
        after: Duration,
        /// The last of what it said, a sign-in page's address as a rule.
        said: String,
    },
    /// The server, or a tunnel before it, closed the connection before the login.
    #[error(
        "the connection was closed before the login ({0}); sshd is starting, is overloaded \
         (MaxStartups), penalises this address (PerSourcePenalties), or the tunnel leads nowhere"
    )]
    Closed(String),
    /// A jump host or ProxyCommand failed; its own words are not shown by `ssh`.
    #[error(
        "the ProxyJump or ProxyCommand on the way failed ({0}); try the jump host by itself with \
         the same ssh_config"
    )]
    Proxy(String),
    /// The host's key is not in the known_hosts file.
    #[error(
        "the host key is unknown; compare its fingerprint and add it to the known_hosts file \
         (`ssh-keyscan`)"
    )]
    HostKeyUnknown,
    /// The host shows another key than the one that is known.
    #[error(
        "THE HOST KEY HAS CHANGED; either the host was installed anew, or somebody is in between: \
         compare the fingerprint, then replace the line in the known_hosts file{}",
        .0.as_deref().map(|line| format!(" ({line})")).unwrap_or_default()
    )]
    HostKeyChanged(Option<String>),
    /// No key was accepted for that user.
    #[error(
        "permission denied ({0}); check User and IdentityFile in the ssh_config (the key must have \
         no passphrase), and authorized_keys on the host"
    )]
    PermissionDenied(String),
    /// The key file of the ssh_config does not exist.
    #[error("the key file {0} does not exist; check IdentityFile in the ssh_config")]
    KeyMissing(String),
    /// The key file can be read by others, so `ssh` ignores it.
    #[error("the key file {0} can be read by others and is ignored; `chmod 600` it")]
    KeyPermissions(String),
    /// The key file cannot be read, or is not a key, or has a passphrase.
    #[error("the key file {0} cannot be used: {1}")]
    KeyUnusable(String, String),
    /// The client and the server have no algorithm in common.
    #[error("client and server have no algorithm in common: {0}")]
    NoCommonAlgorithm(String),
    /// The ssh_config is wrong or cannot be read.
    #[error("the ssh_config cannot be used: {0}")]
    Configuration(String),
    /// The control socket's path does not fit into a socket address.
    #[error("the path of the control socket is too long ({0}); choose a shorter control directory")]
    ControlPathTooLong(String),
    /// There is no `ssh` on this machine.
    #[error("the OpenSSH client `ssh` is not installed here or not in PATH")]
    ClientMissing,
    /// The local system failed: a process, a folder, a socket.
    #[error("{step}")]
    Local {
        /// What was being done.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Anything else that `ssh` said.
    #[error("{0}")]
    Other(String),
}

impl LoginFault {
    /// Whether the same login can succeed later without anybody's doing.
    pub fn is_worth_retrying(&self) -> bool {
        self.is_unreachable() || matches!(self, LoginFault::Local { .. } | LoginFault::Other(_))
    }

    /// Whether nobody answered, or the answer was cut off before a login.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            LoginFault::NameUnknown(_)
                | LoginFault::Refused
                | LoginFault::NoRoute(_)
                | LoginFault::TimedOut(_)
                | LoginFault::NotLetIn { .. }
                | LoginFault::Closed(_)
                | LoginFault::Proxy(_)
        )
    }

    /// Whether the server was reached, and it or we refused the login: by a key, a host key or an algorithm.
    pub fn is_access_refused(&self) -> bool {
        matches!(
            self,
            LoginFault::PermissionDenied(_)
                | LoginFault::KeyMissing(_)
                | LoginFault::KeyPermissions(_)
                | LoginFault::KeyUnusable(..)
                | LoginFault::HostKeyUnknown
                | LoginFault::HostKeyChanged(_)
                | LoginFault::NoCommonAlgorithm(_)
        )
    }

    /// Whether it is this machine's own, and so says nothing about the host: no client, no key that works, no network.
    pub fn is_ours(&self) -> bool {
        match self {
            LoginFault::NoRoute(words) => words.contains(NETWORK_UNREACHABLE),
            LoginFault::Address(_)
            | LoginFault::KeyMissing(_)
            | LoginFault::KeyPermissions(_)
            | LoginFault::KeyUnusable(..)
            | LoginFault::Configuration(_)
            | LoginFault::ControlPathTooLong(_)
            | LoginFault::ClientMissing
            | LoginFault::Local { .. } => true,
            _ => false,
        }
    }

    /// Whether a server saw this try and may have counted it against us (sshd's
    /// `PerSourcePenalties`, `MaxStartups`), so that the next must not follow at once.
    pub(super) fn was_counted(&self) -> bool {
        self.is_access_refused() || matches!(self, LoginFault::Closed(_) | LoginFault::Proxy(_))
    }
}
