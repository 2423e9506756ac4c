//! The causes that have to do with Nix and the machine, whatever Nix was doing.

use super::{error_text, has_any};

/// What went wrong that has to do with Nix and the machine, whatever Nix was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum General {
    DiskFull,
    OutOfMemory,
    DaemonUnreachable,
    StoreNotWritable,
    SandboxImpossible,
    BuildGroupMissing,
    BuildsNothing,
    CacheUnreachable,
    HashMismatch,
    DaemonGone,
    System,
    Unexplained,
}

/// What stands for a cause by itself; the first that is said counts.
const SAID: [(General, &[&str]); 6] = [
    (
        General::DiskFull,
        &[
            "No space left on device",
            "Disk quota exceeded",
            "database or disk is full",
        ],
    ),
    (
        General::OutOfMemory,
        &["Cannot allocate memory", "out of memory", "std::bad_alloc"],
    ),
    (
        General::DaemonUnreachable,
        &[
            "cannot connect to socket at",
            "cannot connect to daemon",
            "cannot open connection to remote store 'daemon'",
        ],
    ),
    (
        General::BuildGroupMissing,
        &[
            "'build-users-group' does not exist",
            "'build-users-group' has no members",
        ],
    ),
    (
        // Nix, worker.cc: until 2.33; since.
        General::BuildsNothing,
        &["nable to start any build", "local builds are disabled"],
    ),
    (
        General::SandboxImpossible,
        &[
            "kernel namespaces that are required for sandboxing",
            "setting up a private mount namespace",
            "cloning builder process",
            "unable to load seccomp BPF program",
            "unable to start build process",
            "mounting /proc",
            "setting up the build environment",
            "pivot old root directory",
        ],
    ),
];
/// What Nix's garbage collector of memory warns of, which is no message of Nix itself.
const NO_MEMORY: &str = "GC Warning: Out of Memory";
/// What the kernel says of something that cannot be written.
const NOT_WRITABLE: [&str; 3] = [
    "ermission denied",
    "Read-only file system",
    "Operation not permitted",
];
/// What Nix says where its daemon, or what it reached over ssh, ends while it is asked (remote-store.cc,
/// serialise.cc): until 2.18; since; after one of these, of whatever is asked next; where it was writing.
pub(crate) const PEER_GONE: [&str; 7] = [
    "unexpected end-of-file",
    "daemon disconnected unexpectedly",
    "unexpected EOF from daemon",
    "opening a connection to remote store '",
    "cannot open connection to remote store '",
    "Connection reset by peer",
    "Broken pipe",
];
/// How the kernel's words end where it is short of something, or a device or a network fails (errno(3)).
/// What is missing or of another kind is not among them: that can be the revision's.
const OF_THE_KERNEL: [&str; 13] = [
    "Input/output error",
    "Too many open files",
    "Too many open files in system",
    "Resource temporarily unavailable",
    "Interrupted system call",
    "Device or resource busy",
    "Stale file handle",
    "Connection refused",
    "Connection timed out",
    "Network is unreachable",
    "No route to host",
    "Transport endpoint is not connected",
    "Remote I/O error",
];

/// The names of a cache's files; other downloads are inputs and sources.
const OF_A_CACHE: [&str; 6] = [
    ".narinfo'",
    "/nix-cache-info'",
    ".nar'",
    ".nar.xz'",
    ".nar.zst'",
    "/nar/",
];

/// Looks for a general cause in Nix's own messages: not in a builder's log, which may say anything.
pub(crate) fn general(stderr: &str) -> Option<General> {
    let own = error_text(stderr);
    let is_said = |(cause, signs): &&(General, &[&str])| {
        has_any(&own, signs) || (*cause == General::OutOfMemory && stderr.contains(NO_MEMORY))
    };
    if let Some((cause, _)) = SAID.iter().find(is_said) {
        return Some(*cause);
    }
    if has_any(&own, &NOT_WRITABLE) && own.contains("'/nix/") {
        return Some(General::StoreNotWritable);
    }
    if has_any(&own, &["hash mismatch", "NAR hash"]) {
        return Some(General::HashMismatch);
    }
    let is_of_a_cache = |line: &str| {
        (line.contains("unable to download '") && has_any(line, &OF_A_CACHE))
            // Nix, derivation-goal.cc, whatever kept it from what a cache had promised.
            || line.contains("(usually happens due to networking issues)")
    };
    own.lines()
        .any(is_of_a_cache)
        .then_some(General::CacheUnreachable)
}

/// What an unrecognised failure is taken for, if it need not be the revision's: the other end went away, the
/// kernel or the store's database refused something, or Nix ended without any error of its own.
///
/// It is asked last, when nothing was found that speaks of the revision.
pub(crate) fn passing(stderr: &str) -> Option<General> {
    let own = error_text(stderr);
    if own.is_empty() {
        return Some(General::Unexplained);
    }
    if has_any(&own, &PEER_GONE) {
        return Some(General::DaemonGone);
    }
    let is_the_systems = |line: &str| {
        OF_THE_KERNEL.iter().any(|words| line.ends_with(words))
            || has_any(line, &["SQLite ", "database is busy", "database is locked"])
    };
    own.lines().any(is_the_systems).then_some(General::System)
}
