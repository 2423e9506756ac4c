//! A simulated host: what it runs and boots, whether it is reached, and the deployments that work on it.

pub mod power;
pub mod supervisor;
pub mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use deploy::{
    DeploymentId, DeploymentTrace, LoginFault, Observation, RebootReason, SwitchLock, Toplevel,
};
use desired_state::HostName;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::host::unit::Unit;
use crate::ledger::Ledger;
use crate::story::Story;
use crate::systems::{Behaviour, Systems};

/// A host.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// How long an answer takes.
    pub latency: Duration,
    /// How long it takes to boot.
    pub boot: Duration,
    /// What its systems do.
    pub systems: Arc<Systems>,
    /// Where it tells what happens to it.
    pub story: Arc<Story>,
    /// Who looks on.
    pub ledger: Arc<Ledger>,
    /// Rung whenever something about it has changed.
    pub changed: Notify,
    state: Mutex<State>,
}

/// What a host is like now.
#[derive(Debug)]
pub struct State {
    /// Whether it is on, and has booted.
    pub is_up: bool,
    /// Since when.
    pub up_since: Instant,
    /// Whether it is on its way down.
    pub is_stopping: bool,
    /// How often it has booted.
    pub boots: u64,
    /// machine-id(5).
    pub machine_id: String,
    /// `/run/current-system`.
    pub running: Toplevel,
    /// `/run/booted-system`.
    pub booted: Toplevel,
    /// The system profile's current generation.
    pub generation: u32,
    /// Its generations.
    pub generations: BTreeMap<u32, Toplevel>,
    /// What lies in its store.
    pub store: BTreeSet<Toplevel>,
    /// Whether an activation is, or broke off, half-way.
    pub is_half_way: bool,
    /// Who else switches it.
    pub switched_by: Option<String>,
    /// Its network leads nowhere until then.
    pub cut_until: Option<Instant>,
    /// It takes our key no more until then.
    pub refuses_until: Option<Instant>,
    /// Its disk is full until then.
    pub full_until: Option<Instant>,
    /// Everything there takes so many times as long.
    pub slowness: u32,
    /// The deployments in `/run/reconcile`.
    pub units: BTreeMap<DeploymentId, Unit>,
    /// What runs there, which a power cut ends.
    pub tasks: Vec<AbortHandle>,
    /// Whether the controller has a connection from before.
    pub is_warm: bool,
    /// The new login that the controller has made for a deployment.
    pub sessions: BTreeSet<DeploymentId>,
}

/// What all hosts share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// What systems do.
    pub systems: Arc<Systems>,
    /// Where they tell what happens to them.
    pub story: Arc<Story>,
    /// Who looks on.
    pub ledger: Arc<Ledger>,
}

impl Host {
    /// One that runs a system that nobody knows.
    pub fn installed(
        name: HostName,
        system: Toplevel,
        pace: (Duration, Duration),
        shared: Shared,
    ) -> Self {
        let state = State {
            is_up: true,
            up_since: Instant::now(),
            is_stopping: false,
            boots: 1,
            machine_id: format!("{:0>32}", name.as_str().len()),
            running: system.clone(),
            booted: system.clone(),
            generation: 1,
            generations: BTreeMap::from([(1, system.clone())]),
            store: BTreeSet::from([system]),
            is_half_way: false,
            switched_by: None,
            cut_until: None,
            refuses_until: None,
            full_until: None,
            slowness: 1,
            units: BTreeMap::new(),
            tasks: Vec::new(),
            is_warm: false,
            sessions: BTreeSet::new(),
        };
        Self {
            name,
            latency: pace.0,
            boot: pace.1,
            systems: shared.systems,
            story: shared.story,
            ledger: shared.ledger,
            changed: Notify::new(),
            state: Mutex::new(state),
        }
    }

    /// What it is like now.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Changes it, and tells whoever waits for that.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock());
        self.changed.notify_waiters();
        changed
    }

    /// Tells what happens to it.
    pub fn tell(&self, what: &str) {
        self.story.tell(self.name.as_str(), what);
    }

    /// What a new login meets; a warm one is asked only whether the network leads there.
    ///
    /// # Errors
    /// Why none works.
    pub fn login(&self, warm: bool) -> Result<(), LoginFault> {
        let state = self.state.lock();
        let now = Instant::now();
        if is_until(state.cut_until, now) {
            return Err(LoginFault::NoRoute("Network is unreachable".to_owned()));
        }
        if !state.is_up {
            return Err(LoginFault::NoRoute("No route to host".to_owned()));
        }
        if warm {
            return Ok(());
        }
        if is_until(state.refuses_until, now) {
            return Err(LoginFault::PermissionDenied("publickey".to_owned()));
        }
        match self.systems.behaviour(Some(&state.running)) {
            Behaviour::CutsLogins => Err(LoginFault::Refused),
            _ => Ok(()),
        }
    }

    /// Whether nothing is wrong with it from outside: it is up, reached, and lets us in.
    pub fn is_well(&self) -> bool {
        self.login(false).is_ok() && !is_until(self.state.lock().full_until, Instant::now())
    }

    /// What it says about itself.
    pub fn observation(&self) -> Observation {
        let state = self.state.lock();
        let (running, booted) = (&state.running, &state.booted);
        let kernel = |system| self.systems.kernel(Some(system));
        let reasons = (kernel(running) != kernel(booted)).then_some(RebootReason::Kernel);
        let failed = state.failed_units(&self.systems);
        let is_starting = state.up_since.elapsed() < self.boot / 4 && state.boots > 1;
        let free = if is_until(state.full_until, Instant::now()) {
            0
        } else {
            50 << 30
        };
        Observation {
            running: Some(running.clone()),
            specialisation_of: Vec::new(),
            booted: Some(booted.clone()),
            profile: state.profile(),
            generation: Some(state.generation),
            boot_id: state.boot_id(),
            machine_id: state.machine_id.clone(),
            platforms: vec!["x86_64-linux".to_owned()],
            system_state: match () {
                () if state.is_stopping => "stopping",
                () if is_starting => "starting",
                () if failed.is_empty() => "running",
                () => "degraded",
            }
            .to_owned(),
            failed_units: failed,
            unfinished_lists: state.is_half_way,
            reboot_reasons: reasons.into_iter().collect(),
            free_bytes: ["/", "/nix", "/boot"]
                .map(|place| (place.to_owned(), free))
                .into(),
            switch_lock: match state.holder() {
                Some(by) => SwitchLock::Held { by },
                None => SwitchLock::Free,
            },
            deployments: state.traces(),
        }
    }
}

impl State {
    /// `/proc/sys/kernel/random/boot_id`, in its form.
    pub fn boot_id(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.boots)
    }

    /// The target of the system profile.
    pub fn profile(&self) -> Option<Toplevel> {
        self.generations.get(&self.generation).cloned()
    }

    /// Makes a system the profile's new generation, unless it is the current one's.
    pub fn set_profile(&mut self, system: &Toplevel) {
        if self.profile().as_ref() != Some(system) {
            self.generation = self
                .generations
                .keys()
                .next_back()
                .map_or(1, |last| last + 1);
            self.generations.insert(self.generation, system.clone());
        }
    }

    /// The units that are failed there.
    pub fn failed_units(&self, systems: &Systems) -> Vec<String> {
        match systems.behaviour(Some(&self.running)) {
            Behaviour::FailsAUnit => vec!["broken.service".to_owned()],
            _ => Vec::new(),
        }
    }

    /// Who holds the lock of `switch-to-configuration`.
    pub fn holder(&self) -> Option<String> {
        let unit = self.units.values().find(|unit| unit.holds_the_switch());
        let unit = unit.map(|unit| format!("reconcile-{}.service", unit.request.id));
        self.switched_by.clone().or(unit)
    }

    /// The deployment that is at work, if one is.
    pub fn at_work(&self) -> Option<&Unit> {
        self.units.values().find(|unit| unit.verdict.is_none())
    }

    fn traces(&self) -> Vec<DeploymentTrace> {
        let trace = |unit: &Unit| DeploymentTrace {
            id: unit.request.id.to_string(),
            unit_state: match unit.verdict {
                Some(_) => "inactive",
                None => "active",
            }
            .to_owned(),
            verdict: unit.verdict.as_ref().map(|verdict| format!("{verdict:?}")),
        };
        self.units.values().map(trace).collect()
    }
}

/// Whether something that lasts until then still does.
pub fn is_until(until: Option<Instant>, now: Instant) -> bool {
    until.is_some_and(|until| now < until)
}
