//! Checked names. Whoever holds one may put it in a path, an argument or a message without another thought.

mod branch;
mod checked;
mod delivery;
mod host;
mod repository;
mod revision;

pub use branch::BranchName;
pub use checked::Invalid;
pub use delivery::DeliveryId;
pub use host::HostName;
pub use repository::RepositoryName;
pub use revision::Revision;
