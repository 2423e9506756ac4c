//! Remembers the wish: what each host should run, and the mirror it comes from.
//!
//! # Layout
//!
//! Each part stands on those before it:
//!
//! - `names`: [`HostName`], [`RepositoryName`], [`BranchName`], [`Revision`], [`DeliveryId`].
//! - `records`: [`Wish`], [`Pin`], [`Suspension`], [`Deployment`], [`HistoryEntry`], [`Built`], [`Collection`], …: what
//!   is remembered.
//! - `store`: the memory itself, [`Store`], which outlives `kill -9` and power cuts.
//! - `signature`: whether a commit is signed by whom it should be.
//! - `mirror`: our copy of a repository, [`Mirror`].
//!
//! Times are always arguments: this crate has no clock.

mod mirror;
mod names;
mod records;
mod shown;
mod signature;
mod store;

pub use mirror::{
    Access, AddressError, Branches, CredentialsError, Fetched, Lineage, Mirror, MirrorError,
    MirrorSettings, RemoteFailure, Unfetched,
};
pub use names::{BranchName, DeliveryId, HostName, Invalid, RepositoryName, Revision};
pub use records::{
    BranchState, Built, Cause, Collection, CollectionResult, Deployment, HistoryEntry,
    HistoryFilter, HostRecord, NixStore, Novelty, Pin, Pruned, ReceivedDelivery, Record,
    Suspension, Unannounced, Wish,
};
pub use signature::{Distrust, Signers};
pub use store::{Gate, Store, StoreError, Turns};
