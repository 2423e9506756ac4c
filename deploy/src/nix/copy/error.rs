//! Why a system could not be copied to a host, and what Nix, ssh and sudo say then.

use std::path::{Path, PathBuf};

use crate::bytes::Bytes;
use crate::command::Finished;
use crate::nix::diagnosis;
use crate::nix::diagnosis::general::PEER_GONE;
use crate::nix::trouble::NixTrouble;
use crate::ssh::SshError;

/// What Nix says of a path that is not in the store.
const NOT_VALID: [&str; 2] = ["' is not valid", "don't know how to build"];
/// What ssh says where it does not reach the host, or loses it.
const SSH_LOST: [&str; 10] = [
    "failed to start SSH connection",
    "Connection closed by",
    "onnection to remote host",
    "unexpected EOF",
    "mux_client",
    "Connection timed out",
    "Connection refused",
    "client_loop",
    "Timeout, server",
    "ssh: ",
];
/// What `sudo` warns of without refusing anything (sudo(8), "DIAGNOSTICS").
const SUDO_CHATTER: [&str; 4] = [
    "unable to resolve host",
    "setrlimit(",
    "unable to send audit message",
    "unable to stat",
];

/// Why a system could not be copied to a host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Nix on this machine.
    #[error("copy: {0}")]
    Nix(#[source] NixTrouble),
    /// Nix on the host.
    #[error("copy: on the host: {0}")]
    OnHost(#[source] NixTrouble),
    /// The connection failed before the copy began.
    #[error("copy: {0}")]
    Ssh(#[source] SshError),
    /// The host wants a signature by a key that it trusts.
    #[error(
        "the host does not take paths from {address} without a signature that it trusts: add our public key to \
         trusted-public-keys on the host ({public_key}), or set sudo = true for this destination, or add its user to \
         trusted-users on the host: {detail}"
    )]
    SignatureLacking {
        /// The destination.
        address: String,
        /// Our public key, or how to come by one.
        public_key: String,
        /// What Nix said.
        detail: String,
    },
    /// What is to be copied could not be signed.
    #[error(
        "cannot sign what is to be copied with {} (the key has to be readable; and where Nix runs as a daemon here, the \
         user that runs reconcile has to be of this machine's trusted-users): {detail}",
        key.display()
    )]
    NotSigned {
        /// The key's file.
        key: PathBuf,
        /// What Nix said.
        detail: String,
    },
    /// The host's Nix daemon does not serve this user.
    #[error(
        "the host's Nix does not serve {address}: set sudo for this destination, or add its user to allowed-users on the host (and, where the socket's folder has a group, to that): {detail}"
    )]
    NotAllowed {
        /// The destination.
        address: String,
        /// What Nix said.
        detail: String,
    },
    /// `sudo` refuses.
    #[error("sudo on the host refuses {address} (allow it without a password: NOPASSWD): {detail}")]
    SudoRefused {
        /// The destination.
        address: String,
        /// What sudo said.
        detail: String,
    },
    /// The host has no Nix, or not in the login's `PATH`.
    #[error("there is no nix-daemon in PATH of {address}: {detail}")]
    NixMissingOnHost {
        /// The destination.
        address: String,
        /// What the host said.
        detail: String,
    },
    /// The host's shell speaks where Nix's answer should be.
    #[error(
        "what answers on {address} is not Nix: the host's shell prints something before our command; let its start-up files (.bashrc, .zshenv) print only for people: {detail}"
    )]
    ShellPrints {
        /// The destination.
        address: String,
        /// What Nix said, and with it what the shell did.
        detail: String,
    },
    /// The connection broke.
    #[error("the connection to {address} broke during the copy: {detail}")]
    ConnectionLost {
        /// The destination.
        address: String,
        /// What ssh or Nix said.
        detail: String,
    },
    /// What was to be copied is not in our store (any more).
    #[error("what is to be copied is gone from this machine's store; build it again: {detail}")]
    PathGone {
        /// What Nix said.
        detail: String,
    },
    /// A path for ssh has white space or quotes, which Nix cannot hand on.
    #[error(
        "the path of the ssh_config file or of the control socket has white space or quotes, which NIX_SSHOPTS cannot carry"
    )]
    AwkwardPath,
    /// The host has no room for what it lacks of the system.
    #[error(
        "the host has {} free in /nix/store, and {} have to be copied there while {} stay free (free some space on the host: `nix-collect-garbage -d`)",
        Bytes(*free), Bytes(*needed), Bytes(*reserve)
    )]
    NoSpace {
        /// What would be copied, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
        /// What has to stay free, in bytes.
        reserve: u64,
    },
    /// Nix failed, and the cause is none of the above.
    #[error("Nix could not copy to {address}: {detail}")]
    Failed {
        /// The destination.
        address: String,
        /// What Nix said.
        detail: String,
    },
}

impl CopyError {
    /// Whether the cause can pass by itself. A copy goes on where it stopped, so when in doubt, it is
    /// worth trying again.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Nix(trouble) | Self::OnHost(trouble) => trouble.is_worth_retrying(),
            Self::Ssh(error) => error.is_worth_retrying(),
            Self::ConnectionLost { .. }
            | Self::ShellPrints { .. }
            | Self::PathGone { .. }
            | Self::NoSpace { .. }
            | Self::Failed { .. } => true,
            Self::SignatureLacking { .. }
            | Self::NotAllowed { .. }
            | Self::NotSigned { .. }
            | Self::SudoRefused { .. }
            | Self::NixMissingOnHost { .. }
            | Self::AwkwardPath => false,
        }
    }

    /// Whether a part of it was given up at its limit of time.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Nix(trouble) | Self::OnHost(trouble) => trouble.is_timeout(),
            Self::Ssh(error) => error.is_timeout(),
            _ => false,
        }
    }

    /// Names the cause of a failed copy: what Nix says of the paths and of a store, before what is said of the
    /// connection, which ends as a consequence, too.
    pub(super) fn of(finished: &Finished, address: &str) -> Self {
        let own = diagnosis::error_text(&finished.stderr);
        let says = |signs: &[&str]| diagnosis::has_any(&own, signs);
        let (address, detail) = (address.to_owned(), diagnosis::summary(&finished.stderr));
        if says(&[
            "lacks a signature by a trusted key",
            "lacks a valid signature",
        ]) {
            return Self::SignatureLacking {
                address,
                public_key: String::new(),
                detail,
            };
        }
        if let Some(error) = Self::of_entrance(finished, &address) {
            return error;
        }
        if let Some(trouble) = NixTrouble::of(finished) {
            return match trouble {
                NixTrouble::Killed { .. } => Self::Nix(trouble),
                _ => Self::OnHost(trouble),
            };
        }
        if says(&NOT_VALID) {
            return Self::PathGone { detail };
        }
        Self::of_connection(finished, &address).unwrap_or(Self::Failed { address, detail })
    }

    /// Names the cause of a failed signing: only where it is none that can pass, it is the key's, or who we are.
    pub(crate) fn of_signing(finished: &Finished, key: &Path) -> Self {
        let stderr = finished.stderr.as_str();
        let detail = diagnosis::summary(stderr);
        if let Some(trouble) = NixTrouble::of(finished) {
            return Self::Nix(trouble);
        }
        if diagnosis::has_any(stderr, &NOT_VALID) {
            return Self::PathGone { detail };
        }
        match NixTrouble::passing(finished) {
            Some(trouble) => Self::Nix(trouble),
            None => Self::NotSigned {
                key: key.to_owned(),
                detail,
            },
        }
    }

    /// Names the cause, if it lies on the way to the host's Nix.
    pub(crate) fn of_connection(finished: &Finished, address: &str) -> Option<Self> {
        Self::of_entrance(finished, address).or_else(|| {
            let spoken = diagnosis::spoken(&finished.stderr);
            let says = |signs: &[&str]| diagnosis::has_any(&spoken, signs);
            (says(&PEER_GONE) || says(&SSH_LOST)).then(|| Self::ConnectionLost {
                address: address.to_owned(),
                detail: diagnosis::summary(&finished.stderr),
            })
        })
    }

    /// Names the cause, if the host does not let us to its Nix: no word of `sudo` and of the host's shell counts
    /// unless Nix says that nobody answered.
    fn of_entrance(finished: &Finished, address: &str) -> Option<Self> {
        let stderr = finished.stderr.as_str();
        let own = diagnosis::error_text(stderr);
        let (address, detail) = (address.to_owned(), diagnosis::summary(stderr));
        // Nix, remote-store.cc and legacy-ssh-store.cc.
        if own.contains("protocol mismatch") {
            return Some(Self::ShellPrints { address, detail });
        }
        if !diagnosis::has_any(&own, &PEER_GONE) {
            return None;
        }
        let spoken = diagnosis::spoken(stderr);
        let says = |signs: &[&str]| diagnosis::has_any(&spoken, signs);
        let refuses = |line: &str| {
            ["sudo: command not found", "sudo: not found"]
                .iter()
                .any(|end| line.ends_with(end))
                || (line.starts_with("sudo: ") && !diagnosis::has_any(line, &SUDO_CHATTER))
        };
        if spoken.lines().any(refuses) {
            return Some(Self::SudoRefused { address, detail });
        }
        if says(&[
            "nix-daemon: command not found",
            "nix-daemon: not found",
            "nix-daemon: No such file",
            "Unknown command: nix-daemon",
        ]) {
            return Some(Self::NixMissingOnHost { address, detail });
        }
        says(&[
            "not allowed to connect to the Nix daemon",
            "/daemon-socket/socket': Permission denied",
        ])
        .then_some(Self::NotAllowed { address, detail })
    }
}

#[cfg(test)]
mod tests;
