//! Where a claim lies, and what its things are called.

use std::path::{Path, PathBuf};

/// Where claims live: a disk and not `/tmp`, because hosts keep their stores over a power cut there.
pub const CLAIMS: &str = "/var/tmp/reconcile-testbed";

/// What prefixes the names of this test bed's network namespaces, links and control groups; short, because a link's name has at most 15 characters.
const PREFIX: &str = "rtb";

/// The file in a claim's folder that its owner has locked.
pub(super) const LOCK: &str = "lock";

/// The name of a network namespace, link or control group of a claim.
#[must_use]
pub fn network_name(number: u8, rest: &str) -> String {
    format!("{PREFIX}{number}-{rest}")
}

/// A claim's own folder.
pub(super) fn directory(number: u8) -> PathBuf {
    Path::new(CLAIMS).join(number.to_string())
}
