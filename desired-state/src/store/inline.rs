//! For whom the store works: the daemon, or a simulator whose time is tokio's paused time.
//!
//! Paused time jumps to the next timer whenever every task waits, and SQLite's answers come from a thread of its own,
//! of which tokio knows nothing. So a simulator's store does not wait: it blocks the thread until the answer is there.

/// How the store waits, and how much it does for what it has recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Waits like any future; what was recorded outlives a power cut.
    Durable,
    /// Blocks the thread; what was recorded outlives the store only.
    Inline,
}

impl Mode {
    /// Waits for a step of the store. Inline, the future that this returns is ready when it is first polled.
    ///
    /// Every wait of the store passes here: a method is made of such steps and of nothing else that waits.
    pub(super) async fn wait<F: Future>(self, step: F) -> F::Output {
        match self {
            Self::Durable => step.await,
            // Unconstrained, for a task that has used up its turn would have to go back to the scheduler first
            // (https://docs.rs/tokio/latest/tokio/task/coop/index.html).
            Self::Inline => futures::executor::block_on(tokio::task::unconstrained(step)),
        }
    }
}
