//! What everything that works on hosts shares: the ports to the outside, the state, the queue, who is told.

mod changes;
mod clients;
mod error;
pub mod evaluations;
mod orders;
pub mod outside;
pub mod ports;
mod queue;
mod registries;
mod shared;
mod waker;

pub use changes::{Changes, ChangesSince};
pub use clients::{Clients, Repository};
pub use error::ContextError;
pub use orders::{Orders, TooManyOrders};
pub use queue::Queue;
pub use registries::{Attended, Forgiven, LastSeen, Registries, Starving};
pub use shared::Context;
pub use waker::Waker;
