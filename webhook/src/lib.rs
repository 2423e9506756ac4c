//! Hears Gitea: verifies a delivery's signature and rings the doorbell.
//!
//! A delivery is a doorbell, not an order: a verified one says "look at this branch of this
//! repository", and nothing else in it is believed. Gitea signs the JSON text alone, so the
//! delivery id and the event's name are not covered, and an old delivery can be sent again;
//! the worst that can come of either is one more look.
//!
//! | module | what it knows |
//! |---|---|
//! | [`signature`] | pure: is this JSON signed by one of our secrets |
//! | [`delivery`] | pure: the few fields that are read, and which events concern us |
//! | [`refusal`] | every reason to say no, and its status |
//! | [`body`] | reading a body within its bound, and finding the signed JSON in it |
//! | [`mod@routes`] | the hook itself: the order of the checks, the answer, the log line |
//! | [`peer`] | who is at the other end |
//! | [`mod@serve`] | connections: how many, how long, and how they end |
//! | [`escape`] | what strangers sent, made fit for a log line |

pub mod body;
pub mod delivery;
pub mod escape;
pub mod peer;
pub mod refusal;
pub mod routes;
pub mod serve;
pub mod signature;

pub use delivery::{Delivery, Event};
pub use peer::Peer;
pub use refusal::{NotRecorded, Refusal, Verdict};
pub use routes::{Doorbell, ReceiverSettings, routes};
pub use serve::{Limits, Listener, serve};
pub use signature::{Secret, SecretError, Secrets};
