//! Pure: reads what ssh, the server and libgit2 said about a fetch that failed, and names the cause with the mend.

use git2::{ErrorClass, ErrorCode};

use crate::shown::shown;

/// How many lines of a failure's last words are shown.
const LINES_SHOWN: usize = 3;

/// How many characters of a failure's last words are shown: enough for a cause, too little to fill a log.
const CHARACTERS_SHOWN: usize = 400;

/// OpenSSH ends with 255 for its own failures, and else with the status of the remote command (ssh(1), EXIT STATUS).
const SSH_OWN_FAILURE: i32 = 255;

/// A shell ends with 127 for a command that it does not find (POSIX sh, 2.8.2).
const COMMAND_NOT_FOUND: i32 = 127;

/// Why the other side could not be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteFailure {
    /// `ssh` itself cannot be started.
    #[error(
        "the OpenSSH client `ssh` cannot be started; install openssh-client, or put it on the PATH"
    )]
    SshMissing,
    /// A file or option of `ssh_config` is wrong.
    #[error("OpenSSH refuses its configuration; correct the ssh_config file")]
    SshConfig,
    /// No known host key for this host.
    #[error(
        "the server's SSH host key is not known; compare it with the server's own, then add it to the known hosts file (ssh-keyscan -p PORT HOST)"
    )]
    HostKeyUnknown,
    /// Another host key than the known one.
    #[error(
        "the server's SSH host key has CHANGED: the server was set up anew, or somebody stands in between; compare it with the server's own, then replace the line in the known hosts file"
    )]
    HostKeyChanged,
    /// The private key cannot be used.
    #[error(
        "the SSH key cannot be used: it has a passphrase or is not a private key; make one without a passphrase (ssh-keygen -t ed25519 -N '')"
    )]
    KeyUnusable,
    /// The server does not take the key.
    #[error(
        "the server refuses the SSH key; add its public half to the repository's deploy keys, and check the URL's user (git) and port"
    )]
    KeyRefused,
    /// The name has no address.
    #[error("the host name is not known; check the URL and DNS")]
    NameUnknown,
    /// Nothing listens there.
    #[error("the connection was refused; check the URL's port, and that the server runs")]
    ConnectionRefused,
    /// No way there.
    #[error("there is no route to the server; check the network, VPN and proxy variables")]
    Unreachable,
    /// No answer to the connection.
    #[error("the server did not answer; check the URL's port, firewalls and the server")]
    NoAnswer,
    /// The connection broke.
    #[error("the server closed the connection")]
    ConnectionLost,
    /// No such repository, or none that we may know of.
    #[error(
        "the server has no such repository, or hides it from us; check the URL's path, and that the key or token may read it"
    )]
    NotFound,
    /// The repository is there, but not for us.
    #[error(
        "the server does not let us read this repository; give the deploy key or the token's user read access"
    )]
    NoPermission,
    /// The server does not take the token.
    #[error(
        "the server wants a token, or refuses ours; make a token with read access to the repository, and put it into the token_file"
    )]
    TokenRefused,
    /// The TLS certificate is not trusted.
    #[error(
        "the server's TLS certificate is not trusted; add its authority to the system's certificates, or name it in SSL_CERT_FILE"
    )]
    Certificate,
    /// The server redirects; a token must not follow.
    #[error(
        "the server redirects to another URL (a renamed repository or owner?); put the new URL into the configuration"
    )]
    Redirected,
    /// Another HTTP status.
    #[error("the server answered with HTTP status {0}")]
    HttpStatus(u16),
    /// The proxy wants a login.
    #[error("the HTTP proxy refuses us; check the proxy variables")]
    Proxy,
    /// A SHA-256 repository.
    #[error(
        "this is a SHA-256 repository, which neither libgit2 nor Nix can fetch yet; use a SHA-1 repository (git init --object-format=sha1; in Gitea, choose the object format sha1 when the repository is made)"
    )]
    Sha256,
    /// What answers is no git server.
    #[error("what answers there is not a git server; check the URL's port and path")]
    NotGit,
    /// A `file://` repository of another user.
    #[error(
        "the repository belongs to another user; chown it, or allow it with: git config --system --add safe.directory FOLDER"
    )]
    NotOwned,
    /// None of the known causes: the last words are all there is.
    #[error("the fetch failed")]
    Unrecognized,
}

impl RemoteFailure {
    /// Whether the same fetch may succeed later without a person changing anything.
    #[must_use]
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::NameUnknown
            | Self::ConnectionRefused
            | Self::Unreachable
            | Self::NoAnswer
            | Self::ConnectionLost
            | Self::Unrecognized => true,
            // 5xx and 429 are the server's trouble of the moment (RFC 9110 §15.6, RFC 6585 §4).
            Self::HttpStatus(status) => *status >= 500 || *status == 429,
            Self::SshMissing
            | Self::SshConfig
            | Self::HostKeyUnknown
            | Self::HostKeyChanged
            | Self::KeyUnusable
            | Self::KeyRefused
            | Self::NotFound
            | Self::NoPermission
            | Self::TokenRefused
            | Self::Certificate
            | Self::Redirected
            | Self::Proxy
            | Self::Sha256
            | Self::NotGit
            | Self::NotOwned => false,
        }
    }
}

/// Reads what an `ssh` that ended with `status` has said: its own words, or those of the remote command.
pub(super) fn from_ssh(status: i32, said: &str) -> Option<RemoteFailure> {
    let causes: &[(&str, RemoteFailure)] = if status == SSH_OWN_FAILURE {
        SSH_SAID
    } else {
        REMOTE_SAID
    };
    let said = said.to_ascii_lowercase();
    causes
        .iter()
        .find(|(words, _)| said.contains(words))
        .map(|(_, failure)| failure.clone())
        .or_else(|| (status == COMMAND_NOT_FOUND).then_some(RemoteFailure::NotGit))
}

/// OpenSSH's words, lower case, the more telling first (readconf.c, sshconnect.c, sshconnect2.c, packet.c).
const SSH_SAID: &[(&str, RemoteFailure)] = &[
    (
        "remote host identification has changed",
        RemoteFailure::HostKeyChanged,
    ),
    (
        "host key verification failed",
        RemoteFailure::HostKeyUnknown,
    ),
    ("bad configuration option", RemoteFailure::SshConfig),
    ("terminating, ", RemoteFailure::SshConfig),
    ("can't open user config file", RemoteFailure::SshConfig),
    ("bad owner or permissions on", RemoteFailure::SshConfig),
    ("incorrect passphrase", RemoteFailure::KeyUnusable),
    ("error in libcrypto", RemoteFailure::KeyUnusable),
    ("invalid format", RemoteFailure::KeyUnusable),
    ("permission denied", RemoteFailure::KeyRefused),
    (
        "too many authentication failures",
        RemoteFailure::KeyRefused,
    ),
    ("could not resolve hostname", RemoteFailure::NameUnknown),
    ("connection refused", RemoteFailure::ConnectionRefused),
    ("no route to host", RemoteFailure::Unreachable),
    ("network is unreachable", RemoteFailure::Unreachable),
    ("timed out", RemoteFailure::NoAnswer),
    ("not responding", RemoteFailure::NoAnswer),
    ("connection closed", RemoteFailure::ConnectionLost),
    ("connection reset", RemoteFailure::ConnectionLost),
    ("broken pipe", RemoteFailure::ConnectionLost),
    (
        "banner line contains invalid characters",
        RemoteFailure::NotGit,
    ),
];

/// The words of Gitea (routers/private/serv.go), git (path.c, connect.c) and GitHub, lower case.
const REMOTE_SAID: &[(&str, RemoteFailure)] = &[
    ("is not authorized", RemoteFailure::NoPermission),
    ("permission denied", RemoteFailure::NoPermission),
    ("cannot find repository", RemoteFailure::NotFound),
    ("repository not found", RemoteFailure::NotFound),
    ("not found.", RemoteFailure::NotFound),
    ("push to create is not enabled", RemoteFailure::NotFound),
    (
        "does not appear to be a git repository",
        RemoteFailure::NotFound,
    ),
    ("does not exist", RemoteFailure::NotFound),
    ("no such file or directory", RemoteFailure::NotFound),
    ("dubious ownership", RemoteFailure::NotOwned),
];

/// Reads what libgit2 said of the other side; `None` for what is not the other side's doing (disk, memory).
pub(super) fn from_libgit2(error: &git2::Error) -> Option<RemoteFailure> {
    let said = error.message().to_ascii_lowercase();
    if said.contains("object format") || said.contains("objectformat") {
        return Some(RemoteFailure::Sha256);
    }
    // A file:// URL.
    if said.contains("could not find repository") || said.contains("failed to resolve path") {
        return Some(RemoteFailure::NotFound);
    }
    match error.code() {
        ErrorCode::Certificate => return Some(RemoteFailure::Certificate),
        ErrorCode::Auth => return Some(RemoteFailure::TokenRefused),
        ErrorCode::Timeout => return Some(RemoteFailure::NoAnswer),
        ErrorCode::Owner => return Some(RemoteFailure::NotOwned),
        ErrorCode::Eof => return Some(RemoteFailure::ConnectionLost),
        _ => {}
    }
    match error.class() {
        ErrorClass::Http => Some(from_http(&said)),
        ErrorClass::Ssl if said.contains("certificate") => Some(RemoteFailure::Certificate),
        ErrorClass::Net | ErrorClass::Ssl | ErrorClass::Os => from_network(&said),
        ErrorClass::Callback => Some(RemoteFailure::TokenRefused),
        _ => None,
    }
}

fn from_http(said: &str) -> RemoteFailure {
    if let Some((_, status)) = said.split_once("http status code: ") {
        return match status.trim().parse() {
            Ok(401) => RemoteFailure::TokenRefused,
            Ok(403) => RemoteFailure::NoPermission,
            Ok(404 | 410) => RemoteFailure::NotFound,
            Ok(status) => RemoteFailure::HttpStatus(status),
            Err(_) => RemoteFailure::Unrecognized,
        };
    }
    if said.contains("proxy") {
        RemoteFailure::Proxy
    } else if said.contains("authentication") {
        RemoteFailure::TokenRefused
    } else if said.contains("redirect") {
        RemoteFailure::Redirected
    } else if said.contains("content-type") || said.contains("parse") {
        RemoteFailure::NotGit
    } else {
        RemoteFailure::Unrecognized
    }
}

/// The words of libgit2's socket stream, of getaddrinfo(3) and of strerror(3).
fn from_network(said: &str) -> Option<RemoteFailure> {
    const NETWORK_SAID: &[(&str, RemoteFailure)] = &[
        ("cannot redirect", RemoteFailure::Redirected),
        ("failed to resolve address", RemoteFailure::NameUnknown),
        ("connection refused", RemoteFailure::ConnectionRefused),
        ("no route to host", RemoteFailure::Unreachable),
        ("network is unreachable", RemoteFailure::Unreachable),
        ("timed out", RemoteFailure::NoAnswer),
        ("failed to connect", RemoteFailure::NoAnswer),
        ("connection reset", RemoteFailure::ConnectionLost),
        ("unexpected eof", RemoteFailure::ConnectionLost),
        ("broken pipe", RemoteFailure::ConnectionLost),
        ("could not read", RemoteFailure::ConnectionLost),
        ("unexpected disconnect", RemoteFailure::ConnectionLost),
    ];
    NETWORK_SAID
        .iter()
        .find(|(words, _)| said.contains(words))
        .map(|(_, failure)| failure.clone())
}

/// The last lines that say something, escaped and cut, for an error message.
pub(super) fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| line.chars().any(char::is_alphanumeric))
        .collect();
    let from = lines.len().saturating_sub(LINES_SHOWN);
    shown(&lines[from..].join(" / "), CHARACTERS_SHOWN)
}

#[cfg(test)]
mod tests;
