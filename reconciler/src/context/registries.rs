//! What is known of hosts while the process runs, and is nothing that has to outlive it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use deploy::Outcome;
use desired_state::{HostName, Revision};
use parking_lot::Mutex;
use planning::conclude::Attendance;
use planning::model::host_state::StoredState;
use tokio::sync::RwLock;
use tokio::time::Instant;

/// All registries.
#[derive(Debug, Default)]
pub struct Registries {
    /// Hosts whose work is superseded again and again.
    pub starving: Starving,
    /// Deployments under way that this process has attended to.
    pub attended: Attended,
    /// Hosts that start with a clean slate.
    pub forgiven: Forgiven,
    /// When quiet hosts were last seen.
    pub last_seen: LastSeen,
    /// Pushes to repositories that nobody follows.
    pub strangers: Strangers,
    /// Held while it is looked whether any host reboots and a reboot is written down.
    pub reboots: tokio::sync::Mutex<()>,
    /// Shared by whoever has something in this machine's Nix store that no GC root keeps yet: what was
    /// evaluated, until it is built, and what is built, until it is copied. Held alone by the collection of
    /// garbage, which only ever tries to have it: a build waits for no collection but the one that runs.
    pub nix_store: Arc<RwLock<()>>,
}

/// A host whose work has been ended again and again for this long gets one piece of work done to
/// its end: pushes that come faster than a build would else starve it for ever.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Since when each host's work has been superseded without any having been done.
#[derive(Debug, Default)]
pub struct Starving(Mutex<BTreeMap<HostName, Instant>>);

impl Starving {
    /// Work for `host` was ended before it was done.
    pub fn superseded(&self, host: &HostName, now: Instant) {
        self.0.lock().entry(host.clone()).or_insert(now);
    }

    /// A reconciliation of `host` has ended so; unless that was for the sake of another, it had its due.
    pub fn ended(&self, host: &HostName, outcome: Option<&Outcome>) {
        if outcome != Some(&Outcome::Superseded) {
            self.0.lock().remove(host);
        }
    }

    /// Whether the next piece of work is done to its end, whatever is pushed meanwhile.
    pub fn is_out_of_patience(&self, host: &HostName, now: Instant) -> bool {
        self.0
            .lock()
            .get(host)
            .is_some_and(|since| now.duration_since(*since) >= PATIENCE)
    }
}

/// Deployments under way that this process has attended to: it began them, or tried to reach their
/// hosts and could not, though nothing of ours was in the way. If such a host goes back for want of an
/// acknowledgement, its system is to blame; else we were away, or cut off.
#[derive(Debug, Default)]
pub struct Attended(Mutex<BTreeSet<String>>);

impl Attended {
    /// This deployment is attended to from now on.
    pub fn note(&self, deployment: &str) {
        self.0.lock().insert(deployment.to_owned());
    }

    /// It was not, for we could not: whatever became of it meanwhile says nothing about its system.
    pub fn retract(&self, deployment: &str) {
        self.0.lock().remove(deployment);
    }

    /// Whether it was; forgets it.
    pub fn take(&self, deployment: &str) -> Attendance {
        if self.0.lock().remove(deployment) {
            Attendance::There
        } else {
            Attendance::Away
        }
    }
}

/// Hosts whose next reconciliation starts with a clean slate, because their config has changed.
#[derive(Debug, Default)]
pub struct Forgiven(Mutex<BTreeSet<HostName>>);

impl Forgiven {
    /// The next reconciliation of `host` starts with a clean slate.
    pub fn insert(&self, host: &HostName) {
        self.0.lock().insert(host.clone());
    }

    /// Whether it does; asked once by each.
    pub fn take(&self, host: &HostName) -> bool {
        self.0.lock().remove(host)
    }
}

/// What is to be stored of hosts of which nothing is new but that they were seen again. It is written down for all of
/// them together, now and then: a crash before that loses no more than when each was seen.
#[derive(Debug, Default)]
pub struct LastSeen {
    states: Mutex<BTreeMap<HostName, StoredState>>,
    /// Shared by whoever records something of one host, held alone while all of this is written down: else what is
    /// older here could overwrite what was just recorded.
    pub writing: RwLock<()>,
}

impl LastSeen {
    /// This is what is known of `host` now.
    pub fn note(&self, host: &HostName, state: StoredState) {
        self.states.lock().insert(host.clone(), state);
    }

    /// What is known of `host`, where that is not written down yet.
    pub fn of(&self, host: &HostName) -> Option<StoredState> {
        self.states.lock().get(host).cloned()
    }

    /// What was known has been written down with something newer.
    pub fn forget(&self, host: &HostName) {
        self.states.lock().remove(host);
    }

    /// All that is to be written down.
    pub fn all(&self) -> Vec<(HostName, StoredState)> {
        let all = self.states.lock();
        all.iter()
            .map(|(host, one)| (host.clone(), one.clone()))
            .collect()
    }

    /// This has been written down: it is kept here no longer, unless something newer is known by now.
    pub fn written(&self, states: &[(HostName, StoredState)]) {
        let mut all = self.states.lock();
        for (host, state) in states {
            if all.get(host) == Some(state) {
                all.remove(host);
            }
        }
    }
}

/// The last genuine deliveries of pushes to repositories that nobody follows: where a followed repository's own do not
/// come, one of them may be the same repository under a new name.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<VecDeque<(Revision, String)>>);

/// As many pushes as an organisation's hook may tell of until a commit counts as unannounced.
const STRANGERS_KEPT: usize = 256;

impl Strangers {
    /// A delivery told that a branch of this repository leads there.
    pub fn note(&self, repository: &str, head: Revision) {
        let mut all = self.0.lock();
        if all.len() >= STRANGERS_KEPT {
            all.pop_front();
        }
        all.push_back((head, repository.to_owned()));
    }

    /// The repository for which a delivery told of this commit last.
    pub fn told_of(&self, commit: &Revision) -> Option<String> {
        let all = self.0.lock();
        let mut newest_first = all.iter().rev();
        let told = newest_first.find(|(head, _)| head == commit);
        told.map(|(_, repository)| repository.clone())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn host() -> HostName {
        "cyt-pi".parse().unwrap()
    }

    #[test]
    fn endless_pushes_exhaust_the_patience_and_work_done_restores_it() {
        let starving = Starving::default();
        let start = Instant::now();
        starving.superseded(&host(), start);
        starving.ended(&host(), Some(&Outcome::Superseded));
        starving.superseded(&host(), start + PATIENCE / 2);
        assert!(!starving.is_out_of_patience(&host(), start + PATIENCE / 2));
        assert!(starving.is_out_of_patience(&host(), start + PATIENCE));
        starving.ended(&host(), None);
        assert!(!starving.is_out_of_patience(&host(), start + PATIENCE));
    }

    #[test]
    fn what_is_newer_than_what_was_written_down_is_kept_for_the_next_time() {
        let seen = LastSeen::default();
        let at = |second| {
            let mut state = StoredState::default();
            state.state.presence.last_seen = Timestamp::from_second(second).ok();
            state
        };
        seen.note(&host(), at(1));
        let written = seen.all();
        seen.note(&host(), at(2));
        seen.written(&written);
        assert_eq!(seen.of(&host()), Some(at(2)));
        seen.written(&seen.all());
        assert_eq!(seen.of(&host()), None);
    }
}
