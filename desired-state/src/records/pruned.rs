//! How much a pruning of the store took away.

/// How much a pruning took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Deliveries.
    pub deliveries: u64,
    /// History entries.
    pub history: u64,
    /// Records of what was built.
    pub built: u64,
    /// Findings of polls that were never settled.
    pub unannounced: u64,
}
