//! Suspensions, their ends, and the ends of pins.

use desired_state::{HostName, Store, StoreError, Suspension};

use super::error::LONGEST_REASON;
use super::{RequestError, check_name, named};
use crate::api::{Held, Hold, HoldRequest};
use crate::clock;
use crate::world::World;

/// Suspends, resumes or unpins hosts.
///
/// # Errors
/// When the request makes no sense, or the state cannot be written.
pub async fn hold(world: &World, hold: Hold, request: &HoldRequest) -> Result<Held, RequestError> {
    check_name(&request.by)?;
    if hold.needs_a_reason() {
        check_reason(&request.why)?;
    }
    let setup = world.setup();
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for (host, _) in named(&setup, &request.hosts)? {
        if hold_one(&world.store, hold, request, &host).await? {
            tracing::info!(%host, ?hold, by = request.by, why = request.why, "a person's word");
            world.waker.wake(&host);
            changed.push(host);
        } else {
            unchanged.push(host);
        }
    }
    world.wishes_changed();
    Ok(Held { changed, unchanged })
}

/// Gives whether anything changed.
async fn hold_one(
    store: &Store,
    hold: Hold,
    request: &HoldRequest,
    host: &HostName,
) -> Result<bool, StoreError> {
    let (by, why, now) = (&request.by, &request.why, clock::now());
    match hold {
        Hold::Suspend => {
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
        Hold::Resume => Ok(store.resume(host, by, why, now).await?.is_some()),
        Hold::Unpin => Ok(store.unpin(host, by, now).await?.is_some()),
    }
}

fn check_reason(reason: &str) -> Result<(), RequestError> {
    if reason.trim().is_empty() || reason.len() > LONGEST_REASON {
        return Err(RequestError::NoReason);
    }
    Ok(())
}
