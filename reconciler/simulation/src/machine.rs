//! The machine that the controller runs on: its store of Nix, and its own faults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use deploy::{BuildRoot, Toplevel};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

/// What can be wrong with it for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It reaches nobody.
    NetworkDown,
    /// Its disk is full.
    DiskFull,
    /// It has no file descriptor left.
    NoDescriptors,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NetworkDown, Self::DiskFull, Self::NoDescriptors];
}

/// The machine.
#[derive(Debug, Default)]
pub struct Machine(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    faults: BTreeMap<Fault, Instant>,
    /// Until when it reached nobody, the last time.
    cut_off_until: Option<Instant>,
    builds: BTreeMap<(String, String), (Toplevel, Timestamp)>,
    at_work: Vec<String>,
}

impl Machine {
    /// Has a fault until then.
    pub fn has_until(&self, fault: Fault, until: Instant) {
        let mut state = self.0.lock();
        state.faults.insert(fault, until);
        if matches!(fault, Fault::NetworkDown | Fault::NoDescriptors) {
            state.cut_off_until = state.cut_off_until.max(Some(until));
        }
    }

    /// It has none any more.
    pub fn is_mended(&self) {
        let mut state = self.0.lock();
        state.faults.clear();
        state.cut_off_until = state.cut_off_until.min(Some(Instant::now()));
    }

    /// Whether it could have reached everybody at all times since then.
    pub fn reaches_others_since(&self, since: Instant) -> bool {
        self.0
            .lock()
            .cut_off_until
            .is_none_or(|until| until < since)
    }

    /// Whether it has this fault now.
    pub fn has(&self, fault: Fault) -> bool {
        let state = self.0.lock();
        state
            .faults
            .get(&fault)
            .is_some_and(|until| Instant::now() < *until)
    }

    /// Something of its store is in use that nothing keeps.
    pub fn begins_work(&self, what: &str) {
        self.0.lock().at_work.push(what.to_owned());
    }

    /// It is no more.
    pub fn ends_work(&self, what: &str) {
        let mut state = self.0.lock();
        if let Some(index) = state.at_work.iter().position(|one| one == what) {
            state.at_work.remove(index);
        }
    }

    /// What of its store is in use that nothing keeps.
    pub fn at_work(&self) -> Vec<String> {
        self.0.lock().at_work.clone()
    }

    /// Keeps a build.
    pub fn keep(&self, host: &str, revision: &str, toplevel: &Toplevel, now: Timestamp) {
        let key = (host.to_owned(), revision.to_owned());
        self.0.lock().builds.insert(key, (toplevel.clone(), now));
    }

    /// Whether it has a system.
    pub fn has_built(&self, toplevel: &Toplevel) -> bool {
        self.0
            .lock()
            .builds
            .values()
            .any(|(built, _)| built == toplevel)
    }

    /// The builds that it keeps.
    pub fn roots(&self) -> Vec<BuildRoot> {
        let state = self.0.lock();
        let root = |((host, revision), (toplevel, built_at)): (
            &(String, String),
            &(Toplevel, Timestamp),
        )| BuildRoot {
            host: host.clone(),
            revision: revision.clone(),
            toplevel: Some(toplevel.clone()),
            built_at: SystemTime::from(*built_at),
            path: PathBuf::from(format!("/gcroots/{host}/{revision}")),
        };
        state.builds.iter().map(root).collect()
    }

    /// Keeps a build no longer.
    pub fn let_go(&self, root: &BuildRoot) {
        let key = (root.host.clone(), root.revision.clone());
        self.0.lock().builds.remove(&key);
    }
}
