//! Pure: reads what git, ssh and the server said about a fetch that failed, and names the cause with the mend.

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
    /// `git` itself cannot be started.
    #[error("`git` cannot be started; install git, or put it on the PATH")]
    GitMissing,
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
    #[error(
        "what answers there is not a git server, but perhaps a login page or a check for bots in front of it; check the URL's port and path, and let us past such a page"
    )]
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
            Self::GitMissing
            | Self::SshMissing
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

/// Reads what git and those behind it have said; `None` where nothing tells of the other side. An ssh that git started
/// ended with `ssh_status`.
pub(super) fn from_git(ssh_status: Option<i32>, said: &str) -> Option<RemoteFailure> {
    let said = said.to_ascii_lowercase();
    let sha256 = || find(SHA256_SAID, &said);
    match ssh_status {
        // A server whose end failed because git hung up on it.
        Some(status) if status != 0 => sha256()
            .or_else(|| from_ssh(status, &said))
            .or_else(|| find(BROKEN_SAID, &said))
            .or(Some(RemoteFailure::Unrecognized)),
        _ => sha256()
            .or_else(|| from_status(&said))
            .or_else(|| find(HTTP_SAID, &said))
            .or_else(|| find(REMOTE_SAID, &said))
            .or_else(|| find(BROKEN_SAID, &said)),
    }
}

/// Reads what an `ssh` that ended with `status` has said: its own words, or those of the remote command.
fn from_ssh(status: i32, said: &str) -> Option<RemoteFailure> {
    match status {
        SSH_OWN_FAILURE => find(SSH_SAID, said),
        // The shell's words for a program that it does not find, before ssh could say a word.
        COMMAND_NOT_FOUND
            if said.contains("ssh: not found") || said.contains("ssh: command not found") =>
        {
            Some(RemoteFailure::SshMissing)
        }
        COMMAND_NOT_FOUND => find(REMOTE_SAID, said).or(Some(RemoteFailure::NotGit)),
        _ => find(REMOTE_SAID, said),
    }
}

/// Whether it is our own disk that is full: the other side's words come with a prefix, or are no git's.
pub(super) fn is_our_disk_full(said: &str) -> bool {
    let is_ours = |line: &str| line.starts_with("fatal: ") || line.starts_with("error: ");
    let is_full =
        |line: &str| line.contains("No space left on device") || line.contains("quota exceeded");
    said.lines().any(|line| is_ours(line) && is_full(line))
}

fn find(causes: &[(&str, RemoteFailure)], said: &str) -> Option<RemoteFailure> {
    let found = causes.iter().find(|(words, _)| said.contains(words));
    found.map(|(_, failure)| failure.clone())
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

/// The words of Gitea (routers/private/serv.go), git (path.c, connect.c, remote-curl.c) and GitHub, lower case.
const REMOTE_SAID: &[(&str, RemoteFailure)] = &[
    ("is not authorized", RemoteFailure::NoPermission),
    ("permission denied", RemoteFailure::NoPermission),
    ("cannot find repository", RemoteFailure::NotFound),
    ("repository not found", RemoteFailure::NotFound),
    ("not found.", RemoteFailure::NotFound),
    ("/' not found", RemoteFailure::NotFound),
    ("push to create is not enabled", RemoteFailure::NotFound),
    (
        "does not appear to be a git repository",
        RemoteFailure::NotFound,
    ),
    ("does not exist", RemoteFailure::NotFound),
    ("no such file or directory", RemoteFailure::NotFound),
    ("dubious ownership", RemoteFailure::NotOwned),
];

/// git's words for a repository of another object format, lower case (fetch-pack.c).
const SHA256_SAID: &[(&str, RemoteFailure)] = &[
    ("mismatched algorithms", RemoteFailure::Sha256),
    ("object format", RemoteFailure::Sha256),
];

/// git's words for a connection that ended in the middle, lower case (fetch-pack.c, pkt-line.c, connect.c), and those
/// of curl.
const BROKEN_SAID: &[(&str, RemoteFailure)] = &[
    ("unexpected disconnect", RemoteFailure::ConnectionLost),
    ("early eof", RemoteFailure::ConnectionLost),
    ("hung up unexpectedly", RemoteFailure::ConnectionLost),
    (
        "hung up upon initial contact",
        RemoteFailure::ConnectionLost,
    ),
    ("unable to access", RemoteFailure::ConnectionLost),
    ("rpc failed", RemoteFailure::ConnectionLost),
];

/// What git says of HTTP, and curl and getaddrinfo(3) through it, lower case, the more telling first (remote-curl.c,
/// http.c, credential.c; curl's lib/strerror.c).
const HTTP_SAID: &[(&str, RemoteFailure)] = &[
    ("could not read username", RemoteFailure::TokenRefused),
    ("could not read password", RemoteFailure::TokenRefused),
    ("authentication failed", RemoteFailure::TokenRefused),
    ("not valid: is this a git repository", RemoteFailure::NotGit),
    ("could not resolve proxy", RemoteFailure::Proxy),
    ("from proxy after connect", RemoteFailure::Proxy),
    ("proxy connect aborted", RemoteFailure::Proxy),
    ("could not resolve host", RemoteFailure::NameUnknown),
    ("certificate", RemoteFailure::Certificate),
    ("redirects followed", RemoteFailure::Redirected),
    ("no route to host", RemoteFailure::Unreachable),
    ("network is unreachable", RemoteFailure::Unreachable),
    ("timed out", RemoteFailure::NoAnswer),
    ("timeout was reached", RemoteFailure::NoAnswer),
    ("connection refused", RemoteFailure::ConnectionRefused),
    ("failed to connect", RemoteFailure::NoAnswer),
];

/// The HTTP status by which git was refused.
fn from_status(said: &str) -> Option<RemoteFailure> {
    let (_, rest) = said.split_once("the requested url returned error: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    match digits.parse().ok()? {
        401 => Some(RemoteFailure::TokenRefused),
        403 => Some(RemoteFailure::NoPermission),
        404 | 410 => Some(RemoteFailure::NotFound),
        407 => Some(RemoteFailure::Proxy),
        status => Some(RemoteFailure::HttpStatus(status)),
    }
}

/// What no reader needs: what git says after every failure (connect.c), and OpenSSH's warnings about key exchange.
fn is_padding(line: &str) -> bool {
    const PADDING: &[&str] = &[
        "Please make sure you have the correct access rights",
        "and the repository exists.",
        "fatal: Could not read from remote repository.",
        "** ",
    ];
    PADDING.iter().any(|begin| line.starts_with(begin))
}

/// The last lines that say something, escaped and cut, for an error message.
pub(super) fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| line.chars().any(char::is_alphanumeric) && !is_padding(line))
        .collect();
    let from = lines.len().saturating_sub(LINES_SHOWN);
    shown(&lines[from..].join(" / "), CHARACTERS_SHOWN)
}

#[cfg(test)]
mod tests;
