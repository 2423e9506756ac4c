//! A webhook delivery, as far as it is remembered: a doorbell, never an order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::DeliveryId;

/// A verified delivery: somebody rang for a branch of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedDelivery {
    /// Which delivery this is.
    pub id: DeliveryId,
    /// The event in Gitea's words: `push`, `create`, `delete`. At most 64 bytes.
    pub event: String,
    /// The repository's `full_name` as it was sent, not checked against the configuration. At most 255 bytes.
    pub repository: String,
    /// The branch that the delivery names, as it was sent. At most 1024 bytes.
    pub branch: Option<String>,
    /// When the receiver had it, whole; kept to the microsecond.
    pub received_at: Timestamp,
}

/// Whether a delivery was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// Never seen.
    First,
    /// Seen before, with this id, for this repository and branch. It will be fetched for all the same: looking again is harmless.
    Repeated,
}
