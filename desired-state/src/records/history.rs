//! What happened, in order. Entries are only ever added; the oldest go by [`Store::prune`](crate::Store::prune) alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{HostName, Revision};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Grows with every entry and is never used twice. The store sets it; what a caller writes here is ignored.
    pub id: i64,
    /// When it happened; kept to the microsecond.
    pub at: Timestamp,
    /// The host that it happened to, if to one.
    pub host: Option<HostName>,
    /// What kind of thing: `wish` `branch` `deployment` `reboot` `drift` `pin` `unpin` `suspend` `resume` `wait` … At most 64 bytes.
    pub kind: String,
    /// The revision it is about.
    pub revision: Option<Revision>,
    /// The store path it is about. At most 1024 bytes.
    pub toplevel: Option<String>,
    /// The action by its name. At most 64 bytes.
    pub action: Option<String>,
    /// How it ended, as the metrics label it. At most 64 bytes.
    pub outcome: Option<String>,
    /// For people; may be empty. At most 8 KiB are kept.
    pub detail: String,
    /// What led to it. At most 1024 bytes are kept.
    pub cause: Option<String>,
    /// The id of the deployment it belongs to. At most 64 bytes.
    pub deployment: Option<String>,
    /// When the thing began, if it took time; kept to the microsecond.
    pub started_at: Option<Timestamp>,
}

impl HistoryEntry {
    /// An entry that says no more than when and what; the other fields are for the caller to fill in.
    #[must_use]
    pub fn new(at: Timestamp, kind: &str) -> Self {
        Self {
            id: 0,
            at,
            host: None,
            kind: kind.to_owned(),
            revision: None,
            toplevel: None,
            action: None,
            outcome: None,
            detail: String::new(),
            cause: None,
            deployment: None,
            started_at: None,
        }
    }
}

/// Which entries to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only those of this host.
    pub host: Option<HostName>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// How many at most: what is outside of 1 to [`HistoryFilter::MOST`] is brought into it.
    pub limit: u32,
}

impl HistoryFilter {
    /// The most entries that one question answers: at 8 KiB of detail each, 8 MiB of memory at the very worst.
    pub const MOST: u32 = 1000;

    /// How many entries a question answers that does not say: a screen or two.
    pub const USUAL: u32 = 50;
}

impl Default for HistoryFilter {
    fn default() -> Self {
        Self {
            host: None,
            kind: None,
            limit: Self::USUAL,
        }
    }
}
