//! The paths that a configuration names, and what for: what `check` looks at, and what `watch` follows.

use std::path::PathBuf;

use super::diagnostics::Origin;

/// A path named by the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPath {
    /// The key that names it, such as `webhook.secret_files`.
    pub key: String,
    /// The path, absolute.
    pub path: PathBuf,
    /// What it is for.
    pub role: PathRole,
    /// Where it was written.
    pub origin: Origin,
}

/// What a named path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathRole {
    /// A secret that signs deliveries.
    WebhookSecret,
    /// A token for a Git server.
    Token,
    /// A private SSH key.
    SshKey,
    /// Host keys, as in `sshd(8)`, section SSH_KNOWN_HOSTS FILE FORMAT.
    KnownHosts,
    /// An `ssh_config(5)` file.
    SshConfig,
    /// Who may sign commits by SSH, as in `ssh-keygen(1)`, section ALLOWED SIGNERS.
    AllowedSigners,
    /// Who may sign commits by OpenPGP, as `gpg --export` writes it.
    OpenpgpKeyring,
    /// A secret key that signs store paths, as `nix-store --generate-binary-cache-key` writes it.
    StoreKey,
    /// The folder of all state.
    StateDirectory,
    /// A unix socket that the daemon makes.
    Socket,
}

impl PathRole {
    /// Whether nobody but the daemon should read it.
    pub fn is_secret(self) -> bool {
        matches!(
            self,
            PathRole::WebhookSecret | PathRole::Token | PathRole::SshKey | PathRole::StoreKey
        )
    }

    /// Whether it is a file that the operator provides, as opposed to what the daemon makes itself.
    pub fn is_provided(self) -> bool {
        !matches!(self, PathRole::StateDirectory | PathRole::Socket)
    }

    /// How a message calls it.
    pub(in crate::config) fn noun(self) -> &'static str {
        match self {
            PathRole::WebhookSecret => "webhook secret",
            PathRole::Token => "token",
            PathRole::SshKey => "SSH key",
            PathRole::KnownHosts => "known_hosts file",
            PathRole::SshConfig => "ssh_config file",
            PathRole::AllowedSigners => "allowed signers file",
            PathRole::OpenpgpKeyring => "OpenPGP keyring",
            PathRole::StoreKey => "store's secret key",
            PathRole::StateDirectory => "state directory",
            PathRole::Socket => "control socket",
        }
    }
}
