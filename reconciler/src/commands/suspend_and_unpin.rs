//! Suspensions, their ends, and the ends of pins.

use desired_state::{HostName, StoreError, Suspension};
use planning::model::requests::{Overridden, Override, OverrideRequest};

use crate::commands::error::{LONGEST_REASON, RequestError};
use crate::commands::hosts::{check_name, named};
use crate::context::Context;

/// Suspends, resumes or unpins hosts.
///
/// # Errors
/// When the request makes no sense, or the state cannot be written.
pub async fn change(
    context: &Context,
    change: Override,
    request: &OverrideRequest,
) -> Result<Overridden, RequestError> {
    check_name(&request.by)?;
    if change.needs_a_reason() {
        check_reason(&request.why)?;
    }
    let clients = context.clients();
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for (host, _) in named(&clients, &request.hosts)? {
        if change_one(context, change, request, &host).await? {
            tracing::info!(%host, ?change, by = request.by, why = request.why, "a person's word");
            context.waker.wake(&host);
            changed.push(host);
        } else {
            unchanged.push(host);
        }
    }
    context.wishes_changed();
    Ok(Overridden { changed, unchanged })
}

/// Gives whether anything changed.
async fn change_one(
    context: &Context,
    change: Override,
    request: &OverrideRequest,
    host: &HostName,
) -> Result<bool, StoreError> {
    let store = &context.store;
    let (by, why, now) = (&request.by, &request.why, context.now());
    match change {
        Override::Suspend => {
            let before = store.suspended(host).await?;
            if before.is_some_and(|before| before.why == *why) {
                return Ok(false);
            }
            let suspension = Suspension {
                host: host.clone(),
                why: why.clone(),
                by: by.clone(),
                since: now,
            };
            store.suspend(&suspension).await.map(|()| true)
        }
        Override::Resume => Ok(store.resume(host, by, why, now).await?.is_some()),
        Override::Unpin => Ok(store.unpin(host, by, now).await?.is_some()),
    }
}

fn check_reason(reason: &str) -> Result<(), RequestError> {
    if reason.trim().is_empty() || reason.len() > LONGEST_REASON {
        return Err(RequestError::NoReason);
    }
    Ok(())
}
