//! A deployment that has begun and has not ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{HostName, Revision};

/// One attempt to bring one host to one toplevel. It is written down **before** anything starts on the host, so that
/// a restarted daemon knows what to look for there. At most one is in flight for a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The name of the attempt, also of its unit and folder on the host. At most 64 bytes.
    pub id: String,
    /// Which host.
    pub host: HostName,
    /// The revision that is deployed.
    pub revision: Revision,
    /// The store path that is deployed. At most 1024 bytes.
    pub toplevel: String,
    /// The store path that ran before, and to which a rollback goes. At most 1024 bytes.
    pub old_toplevel: String,
    /// The action by its name: `switch`, `boot`, `test`, `build`, `dry-activate`. At most 64 bytes.
    pub action: String,
    /// The host's boot id when the deployment began; another one means that the host has restarted. At most 64 bytes.
    pub boot_id: String,
    /// The SSH destination that was used. At most 1024 bytes.
    pub destination: String,
    /// When it began; kept to the microsecond.
    pub started_at: Timestamp,
    /// Why it began. At most 1024 bytes are kept.
    pub trigger: String,
}
