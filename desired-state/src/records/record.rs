//! What a pass over a host found out.

use super::collection::Collection;
use super::history::HistoryEntry;
use crate::names::HostName;

/// What a pass over a host found out, to be written down together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which host.
    pub host: HostName,
    /// What is remembered from now on, in place of what was; `None` leaves that. At most 1 MiB.
    pub document: Option<String>,
    /// The id of the deployment in flight that ended. Its end is an entry of [`Record::history`].
    pub ended: Option<String>,
    /// What happened, in order. Each entry's `host` is set to [`Record::host`]. Where none names the deployment that
    /// ended, those that name no other are taken for its end.
    pub history: Vec<HistoryEntry>,
    /// How a garbage collection of the host's store of Nix ended.
    pub collection: Option<Collection>,
}

impl Record {
    /// A record that says nothing yet; the fields are for the caller to fill in.
    #[must_use]
    pub fn new(host: HostName) -> Self {
        Self {
            host,
            document: None,
            ended: None,
            history: Vec::new(),
            collection: None,
        }
    }

    /// Whether there is nothing to write down.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.document.is_none()
            && self.ended.is_none()
            && self.history.is_empty()
            && self.collection.is_none()
    }
}
