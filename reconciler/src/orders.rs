//! What persons have asked of hosts and the loop has not yet done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use deploy::Action;
use desired_state::{HostName, Revision};
use jiff::Timestamp;

use crate::api::Then;
use crate::decide::Insistence;

/// A person who asks more often than this of one host before the first is done is a script gone wild.
const AT_MOST_WAITING: usize = 16;

/// One person's wish for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its number, unique while the process runs.
    pub id: u64,
    /// A commit instead of the followed or pinned one, for actions that do not become a pin.
    pub revision: Option<Revision>,
    /// An action instead of the configured one.
    pub action: Option<Action>,
    /// What follows once the host is there.
    pub then: Then,
    /// How strongly.
    pub insistence: Insistence,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The host has as many orders waiting as fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{AT_MOST_WAITING} orders for this host are waiting already; wait for them to be done")]
pub struct TooManyOrders;

/// The orders that wait, first come first served, a queue a host.
#[derive(Debug, Default)]
pub struct Orders {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    last_id: u64,
    by_host: BTreeMap<HostName, VecDeque<Order>>,
}

impl Orders {
    /// Puts an order at the end of its host's queue; gives its number.
    pub fn put(&self, host: &HostName, order: Order) -> Result<u64, TooManyOrders> {
        let mut waiting = self.waiting();
        let id = waiting.last_id + 1;
        let queue = waiting.by_host.entry(host.clone()).or_default();
        if queue.len() >= AT_MOST_WAITING {
            return Err(TooManyOrders);
        }
        queue.push_back(Order { id, ..order });
        waiting.last_id = id;
        Ok(id)
    }

    /// Takes the first order for `host`.
    pub fn take(&self, host: &HostName) -> Option<Order> {
        self.waiting().by_host.get_mut(host)?.pop_front()
    }

    /// Whether an order for `host` waits.
    pub fn has(&self, host: &HostName) -> bool {
        self.waiting()
            .by_host
            .get(host)
            .is_some_and(|queue| !queue.is_empty())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Whole between any two statements, so a poisoned lock is still good.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            id: 0,
            revision: None,
            action: None,
            then: Then::Nothing,
            insistence: Insistence::Asked,
            by: "ada".into(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn orders_are_taken_first_come_first_served() {
        let orders = Orders::default();
        let host: HostName = "cyt-pi".parse().unwrap();
        let first = orders.put(&host, order()).unwrap();
        let second = orders.put(&host, order()).unwrap();
        assert_eq!(orders.take(&host).map(|order| order.id), Some(first));
        assert!(orders.has(&host));
        assert_eq!(orders.take(&host).map(|order| order.id), Some(second));
        assert_eq!(orders.take(&host), None);
    }

    #[test]
    fn a_flood_of_orders_for_a_host_is_refused() {
        let orders = Orders::default();
        let host: HostName = "cyt-pi".parse().unwrap();
        for _ in 0..AT_MOST_WAITING {
            orders.put(&host, order()).unwrap();
        }
        assert_eq!(orders.put(&host, order()), Err(TooManyOrders));
    }
}
