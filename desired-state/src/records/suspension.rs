//! A person keeps everything from a host.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::HostName;

/// Nothing is deployed to a host until a person resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Which host.
    pub host: HostName,
    /// Why, in the person's words. At most 4 KiB are kept.
    pub why: String,
    /// Who suspended it. At most 255 bytes are kept.
    pub by: String,
    /// Since when; kept to the microsecond.
    pub since: Timestamp,
}
