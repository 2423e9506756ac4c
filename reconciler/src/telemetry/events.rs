//! What happens to hosts, told to whoever follows.

use desired_state::{HostName, Revision};
use jiff::Timestamp;
use planning::model::report::{Event, Step, What};
use tokio::sync::broadcast;

/// A follower that is this many events behind misses some; the deployment does not wait for it.
const EVENTS_KEPT: usize = 1024;

/// What happens to hosts from now on.
#[derive(Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(EVENTS_KEPT))
    }
}

impl Events {
    /// Tells followers what happened to a host.
    pub fn tell(&self, at: Timestamp, host: &HostName, what: What) {
        // Nobody listening is usual.
        let _ = self.0.send(Event {
            at,
            host: host.clone(),
            what,
        });
    }

    /// Tells followers that a step has begun.
    pub fn tell_step(&self, at: Timestamp, host: &HostName, step: Step, of: Option<&Revision>) {
        tracing::debug!(%host, %step, "began");
        let revision = of.cloned();
        self.tell(at, host, What::Step { step, revision });
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
