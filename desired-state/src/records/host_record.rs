//! All that is stored of one host.

use super::collection::Collection;
use super::deployment::Deployment;
use super::pin::Pin;
use super::suspension::Suspension;
use super::wish::Wish;

/// All that is stored of one host, as it was at one instant. Empty for a host that was never heard of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostRecord {
    /// What it should run.
    pub wish: Option<Wish>,
    /// The revision that a person holds it at.
    pub pin: Option<Pin>,
    /// That a person has suspended it.
    pub suspension: Option<Suspension>,
    /// The deployment that has begun and not ended.
    pub in_flight: Option<Deployment>,
    /// The reconciler's own document.
    pub document: Option<String>,
    /// The last garbage collection of its store of Nix.
    pub last_collection: Option<Collection>,
}
