//! The simulated world: hosts, repositories, the machine, its clock, and who looks on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use desired_state::{BranchName, HostName, RepositoryName, Revision, Store};
use parking_lot::Mutex;
use planning::model::host_state::{HostState, StoredState};
use reconciler::context::Context;
use tokio::time::Instant;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::clock::SimulatedClock;
use crate::generator::Generator;
use crate::git::{Kind, Repository};
use crate::host::{Host, Shared};
use crate::ledger::Ledger;
use crate::life::Life;
use crate::machine::Machine;
use crate::plan::{BRANCHES, Edits, Plan, REPOSITORIES};
use crate::story::Story;
use crate::systems::{System, Systems};

/// The controller while it lives.
#[derive(Clone)]
pub struct Running {
    /// What its reconciliations share.
    pub context: Arc<Context>,
    /// Its life.
    pub life: Arc<Life>,
    /// Its webhook receiver.
    pub hook: BoxedFilter<(Response,)>,
}

/// The world.
pub struct World {
    /// How it was drawn.
    pub plan: Plan,
    /// What happens in it.
    pub story: Arc<Story>,
    /// Who looks on.
    pub ledger: Arc<Ledger>,
    /// The clock of the controller's machine.
    pub clock: Arc<SimulatedClock>,
    /// What systems do.
    pub systems: Arc<Systems>,
    /// The repositories.
    pub repositories: BTreeMap<RepositoryName, Repository>,
    /// The hosts.
    pub hosts: BTreeMap<HostName, Arc<Host>>,
    /// The controller's machine.
    pub machine: Machine,
    /// What persons have changed in the config.
    pub edits: Mutex<Edits>,
    /// The state as those who look on read it.
    pub witness: Store,
    running: Mutex<Option<Running>>,
    lived_since: Mutex<Option<Instant>>,
}

impl World {
    /// A fleet as it was installed by hand, with a first commit on every branch.
    pub fn begin(plan: Plan, folder: &Path, witness: Store) -> Arc<Self> {
        let seed = plan.seed;
        let story = Arc::new(Story::begin(folder));
        let systems = Arc::new(Systems::default());
        let ledger = Ledger::new(plan.hosts.keys().cloned(), Arc::clone(&story));
        let shared = Shared {
            systems: Arc::clone(&systems),
            story: Arc::clone(&story),
            ledger: Arc::new(ledger),
        };
        let repositories = REPOSITORIES.iter().filter_map(|name| name.parse().ok());
        let repositories: BTreeMap<RepositoryName, Repository> = repositories
            .map(|name: RepositoryName| (name.clone(), Repository::new(name, seed)))
            .collect();
        let hosts = plan.hosts.keys().map(|name| {
            let mut generator = Generator::new(seed, &format!("host {name}"));
            let installed = systems.of(seed, name.as_str(), "installed", None);
            let latency = generator.between(Duration::from_millis(10), Duration::from_millis(400));
            let boot = generator.between(Duration::from_secs(15), Duration::from_secs(240));
            let host = Host::installed(
                name.clone(),
                installed.toplevel,
                (latency, boot),
                shared.clone(),
            );
            (name.clone(), Arc::new(host))
        });
        let world = Self {
            hosts: hosts.collect(),
            ledger: Arc::clone(&shared.ledger),
            clock: Arc::new(SimulatedClock::new(seed)),
            machine: Machine::default(),
            edits: Mutex::default(),
            running: Mutex::default(),
            lived_since: Mutex::default(),
            story,
            systems,
            repositories,
            witness,
            plan,
        };
        for repository in world.repositories.values() {
            for branch in world.branches() {
                repository.commit(&branch, Kind::Good, 1.0, None);
            }
        }
        Arc::new(world)
    }

    /// The branches that hosts follow.
    pub fn branches(&self) -> Vec<BranchName> {
        BRANCHES
            .iter()
            .filter_map(|branch| branch.parse().ok())
            .collect()
    }

    /// The repository that a host follows.
    pub fn repository_of(&self, host: &HostName) -> Option<&Repository> {
        self.repositories
            .get(&self.plan.hosts.get(host)?.repository)
    }

    /// The system of a host in a commit, if there is one.
    pub fn system(&self, host: &HostName, revision: &Revision) -> Option<System> {
        let repository = self.repository_of(host)?;
        repository
            .system(&self.systems, revision, host.as_str())?
            .ok()
    }

    /// What the state on disk remembers of a host.
    pub async fn remembered(&self, host: &HostName) -> HostState {
        let record = self.witness.host_record(host).await.unwrap_or_default();
        let document = record.document.as_deref().unwrap_or("{}");
        StoredState::read(document).unwrap_or_default().state
    }

    /// The controller, while it lives.
    pub fn running(&self) -> Option<Running> {
        let running = self.running.lock();
        running.as_ref().filter(|one| !one.life.is_over()).cloned()
    }

    /// The controller has begun to live, or does so no more.
    pub fn set_running(&self, running: Option<Running>) {
        *self.lived_since.lock() = running.is_some().then(Instant::now);
        *self.running.lock() = running;
    }

    /// Since when the controller lives.
    pub fn lives_since(&self) -> Option<Instant> {
        self.running()?;
        *self.lived_since.lock()
    }
}
