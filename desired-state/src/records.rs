//! What is remembered: plain data, which the store keeps and nobody here decides by.

mod built;
mod collection;
mod delivery;
mod deployment;
mod history;
mod host_record;
mod pin;
mod pruned;
mod record;
mod suspension;
mod unannounced;
mod wish;

pub use built::Built;
pub use collection::{Collection, CollectionResult, NixStore};
pub use delivery::{Novelty, ReceivedDelivery};
pub use deployment::Deployment;
pub use history::{HistoryEntry, HistoryFilter};
pub use host_record::HostRecord;
pub use pin::Pin;
pub use pruned::Pruned;
pub use record::Record;
pub use suspension::Suspension;
pub use unannounced::Unannounced;
pub use wish::{BranchState, Cause, Wish};
