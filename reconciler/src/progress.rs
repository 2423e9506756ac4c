//! Follows a person's orders to their end.

use std::collections::BTreeMap;
use std::sync::Arc;

use desired_state::HostName;
use futures::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::api::{Event, Follow, ReconcileRequest, What};
use crate::clock;
use crate::requests::{Queued, RequestError, reconcile};
use crate::world::World;

/// Queues a person's orders, and gives what happens to their hosts until each is done.
///
/// # Errors
/// As [`reconcile`].
pub async fn order(
    world: &Arc<World>,
    request: &ReconcileRequest,
) -> Result<impl Stream<Item = Event> + Send + 'static, RequestError> {
    // Before anything is queued, or the end could come before we listen.
    let events = world.follow();
    let orders = reconcile(world, request).await?;
    let queued = orders
        .iter()
        .map(|(host, order)| Event {
            at: clock::now(),
            host: host.clone(),
            what: order.event(),
        })
        .collect();
    let follower = Follower {
        queued,
        orders: match request.follow {
            Follow::ToTheEnd => orders,
            Follow::No => BTreeMap::new(),
        },
        events,
    };
    Ok(futures::stream::unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((event, follower))
    }))
}

struct Follower {
    queued: Vec<Event>,
    orders: BTreeMap<HostName, Queued>,
    events: Receiver<Event>,
}

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.queued.pop() {
            return Some(event);
        }
        while !self.orders.is_empty() {
            let event = match self.events.recv().await {
                Ok(event) => event,
                // Steps were missed; the end of each order is what counts, and those are few.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return None,
            };
            let Some(order) = self.orders.get(&event.host) else {
                continue;
            };
            match &event.what {
                What::Queued { .. } => {}
                What::Step { .. } => return Some(event),
                What::Done(report) if report.order == Some(order.id) => {
                    self.orders.remove(&event.host);
                    return Some(event);
                }
                // The end of the pass before ours.
                What::Done(_) => {}
            }
        }
        None
    }
}
