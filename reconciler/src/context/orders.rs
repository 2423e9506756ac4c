//! What persons have asked of hosts and the loop has not yet done.

use std::collections::{BTreeMap, VecDeque};

use desired_state::HostName;
use parking_lot::{Mutex, MutexGuard};
use planning::model::order::Order;

/// A person who asks more often than this of one host before the first is done is a script gone wild.
const AT_MOST_WAITING: usize = 16;

/// A host has as many orders waiting as fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host}: {AT_MOST_WAITING} orders for this host are waiting already; wait for them to be done"
)]
pub struct TooManyOrders {
    /// Which host.
    pub host: HostName,
}

/// The orders that wait, first come first served, a queue a host.
#[derive(Debug, Default)]
pub struct Orders {
    waiting: Mutex<Waiting>,
    asking: tokio::sync::Mutex<()>,
}

/// A place for an order for each of some hosts, kept until it is dropped: nobody else puts any meanwhile.
#[derive(Debug)]
pub struct Reservation<'a> {
    orders: &'a Orders,
    _alone: tokio::sync::MutexGuard<'a, ()>,
}

impl Reservation<'_> {
    /// Puts an order at the end of its host's queue; gives its number.
    pub fn put(&self, host: &HostName, order: Order) -> u64 {
        let mut waiting = self.orders.waiting();
        let id = waiting.last_id + 1;
        let queue = waiting.by_host.entry(host.clone()).or_default();
        queue.push_back(Order { id, ..order });
        waiting.last_id = id;
        id
    }
}

#[derive(Debug, Default)]
struct Waiting {
    last_id: u64,
    by_host: BTreeMap<HostName, VecDeque<Order>>,
}

impl Orders {
    /// Keeps a place for one order for each of `hosts`, once whoever else has some kept is done.
    ///
    /// # Errors
    /// When there is none for one of them.
    pub async fn reserve(
        &self,
        hosts: impl IntoIterator<Item = &HostName>,
    ) -> Result<Reservation<'_>, TooManyOrders> {
        let alone = self.asking.lock().await;
        for host in hosts {
            let queue = self.waiting().by_host.get(host).map_or(0, VecDeque::len);
            if queue >= AT_MOST_WAITING {
                return Err(TooManyOrders { host: host.clone() });
            }
        }
        Ok(Reservation {
            orders: self,
            _alone: alone,
        })
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
        self.waiting.lock()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use planning::model::order::{Then, Trigger};

    use super::*;

    fn order() -> Order {
        Order {
            id: 0,
            revision: None,
            action: None,
            then: Then::Nothing,
            trigger: Trigger::Manual,
            by: "ada".into(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    /// Puts an order for a host that has a place for it.
    async fn put(orders: &Orders, host: &HostName) -> u64 {
        orders.reserve([host]).await.unwrap().put(host, order())
    }

    #[tokio::test]
    async fn orders_are_taken_first_come_first_served() {
        let orders = Orders::default();
        let host: HostName = "cyt-pi".parse().unwrap();
        let first = put(&orders, &host).await;
        let second = put(&orders, &host).await;
        assert_eq!(orders.take(&host).map(|order| order.id), Some(first));
        assert!(orders.has(&host));
        assert_eq!(orders.take(&host).map(|order| order.id), Some(second));
        assert_eq!(orders.take(&host), None);
    }

    #[tokio::test]
    async fn a_flood_of_orders_for_a_host_is_refused_until_one_is_done() {
        let orders = Orders::default();
        let host: HostName = "cyt-pi".parse().unwrap();
        for _ in 0..AT_MOST_WAITING {
            put(&orders, &host).await;
        }
        let refused = TooManyOrders { host: host.clone() };
        assert_eq!(orders.reserve([&host]).await.err(), Some(refused));
        orders.take(&host);
        put(&orders, &host).await;
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_takes_a_place_away_that_is_kept() {
        let orders = Orders::default();
        let host: HostName = "cyt-pi".parse().unwrap();
        let reservation = orders.reserve([&host]).await.unwrap();
        let another = orders.reserve([&host]);
        let soon = std::time::Duration::from_secs(60);
        assert!(tokio::time::timeout(soon, another).await.is_err());
        reservation.put(&host, order());
        drop(reservation);
        put(&orders, &host).await;
    }
}
