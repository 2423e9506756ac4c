//! What a mirror is told.

use std::path::PathBuf;
use std::time::Duration;

/// Which repository a mirror follows, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorSettings {
    /// The folder of the mirror. The repository itself is `directory/.git`, so that Nix takes
    /// `git+file://DIRECTORY?rev=…` for a local repository. Beside it stand `directory.new` while a clone is under
    /// way, `directory.broken` after a repair, and `directory.lock`.
    pub directory: PathBuf,
    /// The repository's URL, in one of those forms of git-clone(1), "GIT URLS", that the mirror can serve:
    /// `ssh://[user@]host[:port]/path`, `[user@]host:path` (scp), `https://host/path`, `http://host/path`,
    /// `file:///path`.
    pub url: String,
    /// How the repository is reached.
    pub access: Access,
    /// How long a fetch may get nothing before it is ended.
    pub timeout: Duration,
}

/// How a repository is reached. Secrets stay in their files, and are read anew for every fetch, so that a rotated
/// one counts at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Nothing is needed: `file://`, or a public repository over `https://`.
    None,
    /// A private key for the OpenSSH client.
    SshKey {
        /// The private key: without a passphrase, readable by its owner only.
        key: PathBuf,
        /// The only file whose host keys count; without it, OpenSSH's own (`~/.ssh/known_hosts` and the system's).
        known_hosts: Option<PathBuf>,
        /// The only `ssh_config` that counts; without it, OpenSSH's own (`~/.ssh/config` and the system's).
        ssh_config: Option<PathBuf>,
    },
    /// A token for `https://`, sent as the password of HTTP basic authentication.
    Token {
        /// The file that holds the token and nothing else; one newline at its end is dropped.
        file: PathBuf,
        /// The user name that goes with it. Gitea takes any name with a token.
        username: String,
    },
}
