//! How Nix reaches a flake's private inputs.

use std::path::PathBuf;

/// How Nix reaches a flake's private inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputAccess {
    /// All inputs are public, or the machine's own configuration has what they need.
    None,
    /// By SSH, with this key.
    SshKey {
        /// The private key's file.
        key: PathBuf,
        /// The host keys to accept; ssh's own files if none.
        known_hosts: Option<PathBuf>,
    },
    /// By HTTP(S), with a token for one server.
    Token {
        /// The server: `gitea.example` or `gitea.example:3000`.
        host: String,
        /// The user name that goes with the token.
        username: String,
        /// The file that has the token in it; read anew for every command.
        file: PathBuf,
    },
}

/// A token that cannot stand in a netrc file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token file has no token, or white space inside it")]
pub struct UnusableToken;
