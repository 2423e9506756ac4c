//! `reconcile serve`.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::{CliError, Exit};
use crate::config::{self, Environment, Loaded};
use crate::daemon;
use crate::telemetry::logging;

/// Runs the daemon until SIGTERM or SIGINT.
pub async fn run(loaded: Arc<Loaded>, environment: Environment) -> Result<Exit, CliError> {
    let warnings = config::check(&loaded)?;
    logging::set_up(&loaded.config.log)?;
    for warning in warnings.iter() {
        tracing::warn!("{warning}");
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    daemon::serve(loaded, environment, shutdown).await?;
    Ok(Exit::Done)
}
