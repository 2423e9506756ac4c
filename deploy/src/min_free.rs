//! How much has to stay free on a host.

/// How much has to stay free on a file system of a host after a copy to it.
///
/// Zero lifts the check of that file system, and of no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinFree(u64);

impl MinFree {
    /// Enough for the blocks that the last part of each file wastes, for Nix's database, and for a host
    /// to run and log on.
    pub const DEFAULT: Self = Self(256 * 1024 * 1024);

    /// Enough on `/boot` for entries, and for the clusters of a FAT file system.
    pub const BOOT: Self = Self(1024 * 1024);

    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    pub(crate) const fn as_bytes(self) -> u64 {
        self.0
    }

    /// Whether space is looked at there at all.
    pub const fn is_checked(self) -> bool {
        self.0 > 0
    }
}
