//! Why the daemon could not start, or go on.

use crate::config::LoadSecretsError;
use crate::context::ContextError;
use crate::daemon::parts::PartEnded;
use crate::state::lock::LockError;

/// Why the daemon could not start, or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another process works on the state.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state or a mirror cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The webhook's secrets cannot be read.
    #[error(transparent)]
    Secrets(#[from] LoadSecretsError),
    /// An address is taken, or not ours.
    #[error("cannot listen on {address} ({what})")]
    Listen {
        /// For what.
        what: &'static str,
        /// Which address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part of it has ended.
    #[error(transparent)]
    Part(#[from] PartEnded),
}

impl ServeError {
    /// Whether trying again can succeed without a person.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Lock(error) => error.is_worth_retrying(),
            Self::Context(error) => error.is_worth_retrying(),
            Self::Secrets(error) => error.is_worth_retrying(),
            Self::Listen { .. } | Self::Part(_) => true,
        }
    }
}
