//! Waits for a person's orders to be done.

use crate::commands::error::RequestError;
use crate::context::Context;
use planning::model::report::{Event, What};
use planning::model::requests::{ReconcileRequest, Wait};
use std::collections::BTreeMap;
use std::sync::Arc;

use desired_state::HostName;
use futures::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::commands::reconcile::{Queued, reconcile};

/// Queues a person's orders, and gives what happens to their hosts until each is done.
///
/// # Errors
/// As [`reconcile`].
pub async fn order(
    context: &Arc<Context>,
    request: &ReconcileRequest,
) -> Result<impl Stream<Item = Event> + Send + 'static, RequestError> {
    // Before anything is queued, or the end could come before we listen.
    let events = context.events.subscribe();
    let orders = reconcile(context, request).await?;
    let queued = orders
        .iter()
        .map(|(host, order)| Event {
            at: context.now(),
            host: host.clone(),
            what: order.event(),
        })
        .collect();
    let follower = Follower {
        queued,
        orders: match request.wait {
            Wait::ToTheEnd => orders,
            Wait::No => BTreeMap::new(),
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
