//! What is known of the run by those who only look on: what happened to each host, what persons have asked, what was
//! counted, and the first invariant that was broken.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deploy::Toplevel;
use desired_state::{HostName, Revision};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::story::Story;

/// An invariant that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which, as the name of its function.
    pub invariant: &'static str,
    /// On which host.
    pub host: Option<HostName>,
    /// How.
    pub what: String,
}

/// How often things happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deployments that began on a host.
    pub deployments: u64,
    /// Of them, those that went back.
    pub rollbacks: u64,
    /// Reboots that hosts were told to make.
    pub reboots: u64,
    /// Times that the controller was killed.
    pub crashes: u64,
    /// Pushes.
    pub pushes: u64,
    /// Deliveries that never arrived.
    pub lost: u64,
    /// Deliveries that were accepted.
    pub accepted: u64,
    /// Forged ones that were refused.
    pub refused: u64,
    /// Things that persons asked for.
    pub orders: u64,
    /// Looks at hosts.
    pub looks: u64,
}

/// A system that could not stay on a host, and is not to come back by itself.
#[derive(Debug, Clone)]
pub struct Banned {
    /// Which.
    pub toplevel: Toplevel,
    /// Since when the controller knows.
    pub known: Instant,
}

/// Attempts for one commit that have failed on one host.
#[derive(Debug, Clone)]
pub struct Failures {
    /// The commit.
    pub revision: Revision,
    /// How many in a row.
    pub count: u32,
    /// When the last ended.
    pub last: Instant,
}

/// An order of a person that is not done yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outstanding {
    /// When it was queued.
    pub since: Instant,
    /// Whether it is by force.
    pub is_forced: bool,
}

/// A deployment that began on a host.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Of which system.
    pub toplevel: Toplevel,
    /// Of which commit.
    pub revision: Revision,
    /// When.
    pub at: Instant,
}

/// What happened to one host, and what persons have asked of it.
#[derive(Debug, Default)]
pub struct OfHost {
    /// How many reconciliations of it run now.
    pub reconciling: u32,
    /// Since when it is suspended.
    pub suspended: Option<Instant>,
    /// The systems that could not stay.
    pub banned: Vec<Banned>,
    /// Attempts that have failed.
    pub failures: Option<Failures>,
    /// Whether its config has changed, or a person has pinned or unpinned it: the next reconciliation starts with a
    /// clean slate.
    pub is_forgiven: bool,
    /// When anything was last done that allows for another attempt: by a person, by the config.
    pub excused: Option<Instant>,
    /// Orders that are not done.
    pub orders: BTreeMap<u64, Outstanding>,
    /// When an order was done last.
    pub ordered: Option<Instant>,
    /// The boot on which it was told to reboot, when, and until when it has to be back.
    pub reboots: Option<(String, Instant, Instant)>,
    /// When it was last seen by the state on disk, when that was looked at.
    pub last_seen: Option<Timestamp>,
    /// Since when it differs from what is wanted although nothing is in the way, and nothing was tried.
    pub idle_since: Option<Instant>,
    /// The deployments that began on it, and whether this life of the controller has begun them.
    pub begun: BTreeMap<String, Begun>,
}

/// What is known of the run.
#[derive(Debug)]
pub struct Ledger {
    story: Arc<Story>,
    hosts: BTreeMap<HostName, Mutex<OfHost>>,
    counts: Mutex<Counts>,
    broken: Mutex<Option<Broken>>,
    disturbed: Mutex<Option<Instant>>,
    trouble_until: Mutex<Option<Instant>>,
    /// Rung when an invariant is broken.
    pub alarm: Notify,
}

impl Ledger {
    /// An empty one.
    pub fn new(hosts: impl IntoIterator<Item = HostName>, story: Arc<Story>) -> Self {
        Self {
            story,
            hosts: hosts
                .into_iter()
                .map(|host| (host, Mutex::default()))
                .collect(),
            counts: Mutex::default(),
            broken: Mutex::default(),
            disturbed: Mutex::default(),
            trouble_until: Mutex::default(),
            alarm: Notify::new(),
        }
    }

    /// What is known of a host.
    pub fn of(&self, host: &HostName) -> MutexGuard<'_, OfHost> {
        match self.hosts.get(host) {
            Some(known) => known.lock(),
            None => unreachable!("every host of the fleet is known"),
        }
    }

    /// Counts something.
    pub fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.counts.lock());
    }

    /// How often things have happened.
    pub fn counts(&self) -> Counts {
        *self.counts.lock()
    }

    /// What is wanted, or what is known of the fleet, may have changed just now.
    pub fn disturb(&self) {
        *self.disturbed.lock() = Some(Instant::now());
    }

    /// Something of everybody's is out of order until then: the controller's machine, or a Git server.
    pub fn has_trouble_until(&self, until: Instant) {
        let mut trouble = self.trouble_until.lock();
        *trouble = Some(trouble.map_or(until, |before| before.max(until)));
    }

    /// Whether nothing of everybody's has been out of order for so long.
    pub fn is_calm_for(&self, long: Duration) -> bool {
        self.trouble_until
            .lock()
            .is_none_or(|until| until + long < Instant::now())
    }

    /// Whether it may have since what was decided on was read: a slow store takes so long between that and the deed.
    pub fn was_disturbed_just_now(&self) -> bool {
        self.disturbed
            .lock()
            .is_some_and(|at| at.elapsed() < crate::plan::SLOWEST_TURN * 3)
    }

    /// An invariant does not hold. The first one counts.
    pub fn breaks(&self, invariant: &'static str, host: Option<&HostName>, what: String) {
        let about = host.map_or("broken", |host| host.as_str());
        self.story
            .tell(about, &format!("BROKEN {invariant}: {what}"));
        self.broken.lock().get_or_insert(Broken {
            invariant,
            host: host.cloned(),
            what,
        });
        self.alarm.notify_waiters();
    }

    /// The invariant that was broken first.
    pub fn broken(&self) -> Option<Broken> {
        self.broken.lock().clone()
    }
}

impl OfHost {
    /// Whether a person's order is, or was just now, at work.
    pub fn is_ordered(&self) -> bool {
        const JUST_NOW: Duration = Duration::from_secs(60);
        !self.orders.is_empty() || self.ordered.is_some_and(|at| at.elapsed() < JUST_NOW)
    }

    /// Whether an order by force is.
    pub fn is_forced(&self) -> bool {
        self.orders.values().any(|order| order.is_forced)
    }
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            deployments: self.deployments + other.deployments,
            rollbacks: self.rollbacks + other.rollbacks,
            reboots: self.reboots + other.reboots,
            crashes: self.crashes + other.crashes,
            pushes: self.pushes + other.pushes,
            lost: self.lost + other.lost,
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            orders: self.orders + other.orders,
            looks: self.looks + other.looks,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            deployments,
            rollbacks,
            reboots,
            crashes,
            pushes,
            ..
        } = self;
        let Self {
            lost,
            accepted,
            refused,
            orders,
            looks,
            ..
        } = self;
        write!(
            formatter,
            "{deployments} deployments, {rollbacks} of them rolled back; {reboots} reboots; {crashes} crashes; \
             {pushes} pushes; deliveries: {accepted} accepted, {lost} lost, {refused} forged; {orders} orders; {looks} looks"
        )
    }
}
