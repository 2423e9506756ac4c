//! Recognizes a fetch that failed, and why: in the words of Nix, git, curl and ssh.

use super::diagnosis::{has_any, last_error, spoken};

/// Why something could not be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchCause {
    /// No route, DNS, a proxy, or a server that is down.
    Network,
    /// The server does not know us, or does not let us read.
    Access,
    /// The server's SSH host key is unknown or has changed.
    HostKey,
    /// The server has no such repository, file or revision; servers say so, too, when access is lacking.
    NotFound,
    /// The server takes no more requests of us for a while.
    RateLimited,
}

impl FetchCause {
    /// What a person can do about it.
    pub const fn mend(self) -> &'static str {
        match self {
            Self::Network => {
                "check the route, DNS and the proxy variables (http_proxy, https_proxy, no_proxy)"
            }
            Self::Access => "check that the repository's key or token may read this input too",
            Self::HostKey => {
                "add the server's host key to the known_hosts file, or check why it changed"
            }
            Self::NotFound => "check the input's URL and that our key or token may read it",
            Self::RateLimited => {
                "the server limits our requests: give it a token (access-tokens in nix.conf, or the repository's), or wait"
            }
        }
    }
}

/// What the kernel, curl, git and ssh say about a network that does not carry.
const NETWORK: [&str; 19] = [
    "ouldn't resolve host",
    "ould not resolve host",
    "Temporary failure in name resolution",
    "ouldn't connect to server",
    "ould not connect to server",
    "Failed to connect",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Operation timed out",
    "Timeout was reached",
    "Network is unreachable",
    "No route to host",
    "Connection closed by",
    "kex_exchange_identification",
    "ouldn't resolve proxy",
    "ould not resolve proxy",
    "HTTP error 5",
    "SSL connect error",
];
/// What git, curl and ssh say when the server refuses.
const ACCESS: [&str; 8] = [
    "could not read Username",
    "could not read Password",
    "Authentication failed",
    "Permission denied (",
    "HTTP error 401",
    "HTTP error 403",
    "returned error: 403",
    "returned error: 401",
];
const HOST_KEY: [&str; 3] = [
    "Host key verification failed",
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    "No ED25519 host key is known",
];
const NOT_FOUND: [&str; 5] = [
    "HTTP error 404",
    "does not appear to be a git repository",
    "not found",
    "Cannot find Git revision",
    "not our ref",
];
/// What servers say where they limit how often they are asked, with 429 or with 403 (RFC 6585, section 4).
const RATE_LIMITED: [&str; 5] = [
    "HTTP error 429",
    "returned error: 429",
    "Too Many Requests",
    "rate limit",
    "Rate limit",
];
/// What marks a failed fetch, of any cause.
const FETCH: [&str; 8] = [
    "ailed to fetch git repository",
    "unable to download '",
    "program 'git' failed",
    "Cannot find Git revision",
    "Failed to open archive",
    "Could not read from remote repository",
    "failed to fetch",
    "failed to download",
];

/// Whether and why a fetch failed. Without a known reason the server has answered, and not with it.
///
/// That it failed is said by Nix's last error, or the stack above it: what it warned of or said before, of a cache most
/// often, it could do without. Why is said by git and ssh, too.
pub(crate) fn fetch(stderr: &str) -> Option<FetchCause> {
    let is_marked = has_any(&last_error(stderr), &FETCH)
        || stderr
            .lines()
            .any(|line| line.trim_start().starts_with("… while fetching the input"));
    is_marked.then(|| fetch_cause(&spoken(stderr)).unwrap_or(FetchCause::NotFound))
}

/// Whether and why a builder that downloads failed: by curl (fetchurl), git or Nix itself.
pub(crate) fn download(log: &str) -> Option<FetchCause> {
    let downloads = has_any(log, &FETCH)
        || has_any(
            log,
            &[
                "curl: (",
                "fatal: unable to access '",
                "error: cannot download ",
            ],
        );
    if downloads { fetch_cause(log) } else { None }
}

fn fetch_cause(stderr: &str) -> Option<FetchCause> {
    [
        (FetchCause::HostKey, &HOST_KEY[..]),
        (FetchCause::RateLimited, &RATE_LIMITED[..]),
        (FetchCause::Access, &ACCESS[..]),
        (FetchCause::Network, &NETWORK[..]),
        (FetchCause::NotFound, &NOT_FOUND[..]),
    ]
    .into_iter()
    .find(|(_, signs)| has_any(stderr, signs))
    .map(|(cause, _)| cause)
}
