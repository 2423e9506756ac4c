//! When each host is looked at: pure, with time as an argument.
//!
//! The rules are those of a Kubernetes controller's work queue: a request is a host, the reason is
//! only logged; of two requests the earlier time wins; a host is never looked at twice at once; and
//! what is asked while it is being looked at is kept.

use std::collections::{BTreeMap, BTreeSet};

use desired_state::HostName;
use tokio::time::Instant;

/// The hosts, and when each is due. Whatever the loop asks at each of its turns takes no longer in a larger fleet.
#[derive(Debug, Default)]
pub struct Queue {
    due: BTreeMap<HostName, Instant>,
    /// The same by time, without the hosts that are busy.
    next: BTreeSet<(Instant, HostName)>,
    busy: BTreeSet<HostName>,
}

impl Queue {
    /// Asks for a look at `host` at `at`; an earlier request for it stands.
    pub fn request(&mut self, host: HostName, at: Instant) {
        if self.due.get(&host).is_some_and(|due| *due <= at) {
            return;
        }
        self.forget(&host);
        self.due.insert(host.clone(), at);
        if !self.busy.contains(&host) {
            self.next.insert((at, host));
        }
    }

    /// Takes the hosts that are due and idle, those that are due first before others; they are busy from now on.
    pub fn take_due(&mut self, now: Instant) -> Vec<HostName> {
        let mut taken = Vec::new();
        while self.next_due().is_some_and(|due| due <= now)
            && let Some((_, host)) = self.next.pop_first()
        {
            self.due.remove(&host);
            self.busy.insert(host.clone());
            taken.push(host);
        }
        taken
    }

    /// The look at `host` has ended; the next is at `next` unless an earlier one was asked for.
    pub fn finished(&mut self, host: HostName, next: Option<Instant>) {
        self.busy.remove(&host);
        if let Some(due) = self.due.get(&host) {
            self.next.insert((*due, host.clone()));
        }
        if let Some(next) = next {
            self.request(host, next);
        }
    }

    /// The host left the fleet.
    pub fn forget(&mut self, host: &HostName) {
        if let Some(due) = self.due.remove(host) {
            self.next.remove(&(due, host.clone()));
        }
    }

    /// When the next idle host is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.next.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn of_two_requests_the_earlier_time_wins() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.request(host("a"), after(start, 60));
        queue.request(host("a"), after(start, 5));
        queue.request(host("a"), after(start, 30));
        assert_eq!(queue.next_due(), Some(after(start, 5)));
        assert_eq!(queue.take_due(after(start, 4)), []);
        assert_eq!(queue.take_due(after(start, 5)), [host("a")]);
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn a_host_is_never_looked_at_twice_at_once_and_what_is_asked_meanwhile_is_kept() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.request(host("a"), start);
        assert_eq!(queue.take_due(start), [host("a")]);
        queue.request(host("a"), start);
        queue.request(host("b"), start);
        assert_eq!(queue.take_due(start), [host("b")]);
        queue.finished(host("a"), Some(after(start, 60)));
        assert_eq!(queue.take_due(start), [host("a")]);
    }

    #[test]
    fn a_forgotten_host_is_not_looked_at_again() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.request(host("a"), start);
        queue.forget(&host("a"));
        assert_eq!(queue.take_due(after(start, 1)), []);
    }
}
