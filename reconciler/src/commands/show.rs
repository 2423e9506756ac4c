//! `reconcile status` and `reconcile history`.

use desired_state::{HistoryEntry, HistoryFilter};
use planning::model::requests::{History, HistoryQuery, HostSelection};
use planning::model::status::Status;

use crate::commands::error::RequestError;
use crate::commands::hosts::named;
use crate::context::Context;
use crate::state;

/// What is known of the fleet.
///
/// # Errors
/// When the state cannot be read.
pub async fn status(context: &Context) -> Result<Status, RequestError> {
    Ok(state::status::of_fleet(context).await?)
}

/// The past, the newest first.
///
/// # Errors
/// When the state cannot be read, or a host is named that neither is there nor ever was.
pub async fn history(context: &Context, query: &HistoryQuery) -> Result<History, RequestError> {
    let filter = HistoryFilter {
        host: query.host.clone(),
        kind: query.kind.clone(),
        limit: query.limit,
    };
    let entries: Vec<HistoryEntry> = context.store.history(&filter).await?;
    // A host that has left the fleet has a past too; a name that never was in it is a slip.
    if let (true, Some(host)) = (entries.is_empty(), &query.host) {
        named(
            &context.clients(),
            &HostSelection::Named(vec![host.clone()]),
        )?;
    }
    Ok(History { entries })
}
