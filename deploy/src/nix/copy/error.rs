//! Why a system could not be copied to a host, and what Nix, ssh and sudo say then.

use std::path::{Path, PathBuf};

use crate::bytes::Bytes;
use crate::command::Finished;
use crate::nix::diagnosis;
use crate::nix::trouble::NixTrouble;
use crate::ssh::SshError;

/// What Nix says of a path that is not in the store.
const NOT_VALID: [&str; 2] = ["' is not valid", "don't know how to build"];
/// What it says where this machine's daemon ends while it is asked.
const DAEMON_LOST: [&str; 3] = ["unexpected end-of-file", "Connection reset", "Broken pipe"];

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

    /// Names the cause of a failed copy.
    pub(super) fn of(finished: &Finished, address: &str) -> Self {
        if let Some(error) = Self::of_connection(finished, address) {
            return error;
        }
        let stderr = finished.stderr.as_str();
        let says = |signs: &[&str]| diagnosis::has_any(stderr, signs);
        let (address, detail) = (address.to_owned(), diagnosis::summary(stderr));
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
        if let Some(trouble) = NixTrouble::of(finished) {
            return match trouble {
                NixTrouble::Killed { .. } => Self::Nix(trouble),
                _ => Self::OnHost(trouble),
            };
        }
        if says(&NOT_VALID) {
            return Self::PathGone { detail };
        }
        Self::Failed { address, detail }
    }

    /// Names the cause of a failed signing: only where it is none that can pass, it is the key's, or who we are.
    pub(crate) fn of_signing(finished: &Finished, key: &Path) -> Self {
        let stderr = finished.stderr.as_str();
        let detail = diagnosis::summary(stderr);
        if let Some(trouble) = NixTrouble::of(finished) {
            return Self::Nix(trouble);
        }
        if diagnosis::has_any(stderr, &DAEMON_LOST) {
            return Self::Nix(NixTrouble::DaemonUnreachable { detail });
        }
        if diagnosis::has_any(stderr, &NOT_VALID) {
            return Self::PathGone { detail };
        }
        Self::NotSigned {
            key: key.to_owned(),
            detail,
        }
    }

    /// Names the cause, if it lies on the way to the host's Nix.
    pub(crate) fn of_connection(finished: &Finished, address: &str) -> Option<Self> {
        let stderr = finished.stderr.as_str();
        let says = |signs: &[&str]| diagnosis::has_any(stderr, signs);
        let (address, detail) = (address.to_owned(), diagnosis::summary(stderr));
        if says(&["sudo: "]) {
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
        if says(&[
            "not allowed to connect to the Nix daemon",
            "/daemon-socket/socket': Permission denied",
        ]) {
            return Some(Self::NotAllowed { address, detail });
        }
        if says(&[
            "failed to start SSH connection",
            "Connection closed by",
            "Connection reset",
            "onnection to remote host",
            "Broken pipe",
            "unexpected end-of-file",
            "unexpected EOF",
            "mux_client",
            "Connection timed out",
            "Connection refused",
            "client_loop",
            "Timeout, server",
            "ssh: ",
        ]) {
            return Some(Self::ConnectionLost { address, detail });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::diagnosis::tests::failed;

    #[test]
    fn what_nix_ssh_and_sudo_say_is_named() {
        // Recorded: Nix 2.8.0 and 2.26.3 here, 2.26.3 on the host.
        let lost = "error: unexpected end-of-file";
        for (stderr, kind, worth_retrying) in [
            (
                "error: cannot add path '/nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a' because it lacks a signature by a trusted key",
                "SignatureLacking",
                false,
            ),
            (
                "error: cannot add path '/nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a' because it lacks a valid signature",
                "SignatureLacking",
                false,
            ),
            (
                &format!(
                    "error: getting status of '/nix/var/nix/daemon-socket/socket': Permission denied\n{lost}"
                ),
                "NotAllowed",
                false,
            ),
            (
                &format!("sudo: a password is required\n{lost}"),
                "SudoRefused",
                false,
            ),
            (
                &format!("bash: line 1: nix-daemon: command not found\n{lost}"),
                "NixMissingOnHost",
                false,
            ),
            (lost, "ConnectionLost", true),
            (
                "client_loop: send disconnect: Broken pipe",
                "ConnectionLost",
                true,
            ),
            (
                "error: writing to file: No space left on device",
                "OnHost",
                true,
            ),
            (
                "error: path '/nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a' is not valid",
                "PathGone",
                true,
            ),
            ("error: something new", "Failed", true),
        ] {
            let error = CopyError::of(&failed(stderr, 1), "pi");
            assert!(
                format!("{error:?}").starts_with(kind),
                "{stderr}: {error:?}"
            );
            assert_eq!(error.is_worth_retrying(), worth_retrying, "{stderr}");
        }
    }

    #[test]
    fn only_the_key_and_who_we_are_keep_a_signing_from_being_tried_again() {
        // Recorded: Nix 2.8.0, but for the full disk.
        for (stderr, kind, worth_retrying) in [
            (
                "error: opening file '/k': No such file or directory",
                "NotSigned",
                false,
            ),
            ("error: secret key is corrupt", "NotSigned", false),
            (
                "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': No such file or directory",
                "Nix(DaemonUnreachable",
                true,
            ),
            (
                "error: cannot open connection to remote store 'unix:///s': error: reading from file: Connection reset by peer",
                "Nix(DaemonUnreachable",
                true,
            ),
            (
                "error: unexpected end-of-file",
                "Nix(DaemonUnreachable",
                true,
            ),
            (
                "error: writing to file: No space left on device",
                "Nix(DiskFull",
                true,
            ),
            (
                "don't know how to build these paths:\n  /nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a\n\
                 error: path '/nix/store/d25xk1vb0xzq7x4l2fdb565zrpwlpvd2-a' is not valid",
                "PathGone",
                true,
            ),
        ] {
            let error = CopyError::of_signing(&failed(stderr, 1), Path::new("/k"));
            assert!(
                format!("{error:?}").starts_with(kind),
                "{stderr}: {error:?}"
            );
            assert_eq!(error.is_worth_retrying(), worth_retrying, "{stderr}");
        }
    }
}
