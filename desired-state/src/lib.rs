//! Remembers the wish: what each host should run, and the mirror it comes from.
//!
//! # Layout
//!
//! - [`HostName`], [`RepositoryName`], [`BranchName`], [`Revision`], [`DeliveryId`]: checked names. Whoever holds one
//!   may put it in a path, an argument or a message without another thought.
//! - [`Wish`], [`Pin`], [`Suspension`], [`Deployment`], [`HistoryEntry`], [`Built`], [`Collection`]: what is remembered.
//! - [`Store`]: the memory itself, which outlives `kill -9` and power cuts.
//!
//! Times are always arguments: this crate has no clock.

mod branch;
mod built;
mod checked;
mod collection;
mod delivery;
mod deployment;
mod history;
mod hold;
mod host;
mod host_record;
mod lineage;
mod mirror;
mod record;
mod repository;
mod revision;
mod signature;
mod ssh_transport;
mod store;
mod unannounced;
mod wish;

pub use branch::BranchName;
pub use built::Built;
pub use checked::Invalid;
pub use collection::{Collection, CollectionResult, NixStore};
pub use delivery::{DeliveryId, Novelty, ReceivedDelivery};
pub use deployment::Deployment;
pub use history::{HistoryEntry, HistoryFilter};
pub use hold::{Pin, Suspension};
pub use host::HostName;
pub use host_record::HostRecord;
pub use lineage::Lineage;
pub use mirror::{
    Access, Address, AddressError, CredentialsError, Fetched, Mirror, MirrorError, MirrorSettings,
    RemoteFailure, SshAddress, check_url,
};
pub use record::Record;
pub use repository::RepositoryName;
pub use revision::Revision;
pub use signature::{Distrust, Signers};
pub use store::{Pruned, Store, StoreError, Turns};
pub use unannounced::Unannounced;
pub use wish::{BranchState, Cause, Wish};
