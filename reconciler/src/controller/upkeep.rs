//! Keeps the state small, and writes down when quiet hosts were last seen.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error_chain::error_chain;
use crate::state::host::{BETWEEN_WRITES, write_last_seen};

/// Between two rounds of removing what is too old from the state.
const BETWEEN_PRUNINGS: Duration = Duration::from_secs(6 * 3600);

/// Removes what is too old from the state, now and then, until `stop`.
pub async fn prune(context: Arc<Context>, stop: CancellationToken) {
    loop {
        if let Err(error) = context.store.prune(context.now()).await {
            tracing::warn!(
                error = error_chain(&error),
                "cannot remove what is too old from the state"
            );
        }
        let pause = tokio::time::sleep(BETWEEN_PRUNINGS);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

/// Writes down when quiet hosts were last seen, now and then, and at the end.
pub async fn keep_last_seen(context: Arc<Context>, stop: CancellationToken) {
    let mut goes_on = true;
    while goes_on {
        let pause = tokio::time::sleep(BETWEEN_WRITES);
        goes_on = stop.run_until_cancelled(pause).await.is_some();
        if let Err(error) = write_last_seen(&context).await {
            tracing::warn!(
                error = error_chain(&error),
                "cannot write down when hosts were last seen; it is tried again"
            );
        }
    }
}

#[cfg(test)]
mod tests;
