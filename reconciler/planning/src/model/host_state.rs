//! What is remembered of a host between reconciliations, and over restarts: the state, and how it is stored.

mod state;
mod stored;

pub use state::{
    Convergence, Drift, HostFacts, HostState, Presence, Progress, Quarantine, SetAside, Traces,
};
pub use stored::{StoredState, Unread};

#[cfg(test)]
mod tests;
