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
    CacheUnreachable,
    HashMismatch,
}

/// What stands for a cause by itself; the first that is said counts.
const SAID: [(General, &[&str]); 5] = [
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
    own.lines()
        .any(|line| line.contains("unable to download '") && has_any(line, &OF_A_CACHE))
        .then_some(General::CacheUnreachable)
}
