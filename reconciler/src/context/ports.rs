//! The ports to the outside: all that the loop knows of hosts, Nix, repositories, the clock and chance.
//!
//! Plain data crosses them, and no live connection: whoever is behind a port keeps warm ones. The real ones are in
//! `context/outside/`; the simulator has its own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deploy::{
    ActivateError, ActivationReport, ActivationRequest, Attribute, BuildError, BuildRequest,
    BuildRoot, CollectError, CollectOnHostError, CopyError, DeploymentId, Destination,
    EvaluateError, Evaluated, FlakeSource, Freed, FromOutside, HostCollection,
    HostCollectionRequest, MinFree, Observation, ObserveError, RebootError, Specialisation,
    SshError, Told, Toplevel,
};
use desired_state::{
    BranchName, Branches, Distrust, Fetched, HostName, Lineage, MirrorError, RepositoryName,
    Revision, Unfetched,
};
use jiff::Timestamp;
use planning::model::backoff::Jitter;
use planning::model::health_checks::ProbeKind;
use planning::model::spec::{HostConfig, RepositoryConfig};
use tokio::time::Instant;

use crate::config::Config;

/// The way to a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Which host.
    pub host: HostName,
    /// Its routes, tried in this order.
    pub destinations: Vec<Destination>,
    /// How long a login may take.
    pub connect: Duration,
    /// How long a question that only reads may take.
    pub observe: Duration,
}

impl Way {
    /// As the config has it.
    pub fn to(host: &HostName, config: &HostConfig) -> Self {
        Self {
            host: host.clone(),
            destinations: config.reach.destinations.clone(),
            connect: config.timeouts.connect,
            observe: config.timeouts.observe,
        }
    }

    /// By this route alone; by all where the config no longer has it, for it cannot be asked for.
    #[must_use]
    pub fn by(&self, route: &str) -> Self {
        let is_it = |one: &&Destination| one.address == route;
        let same: Vec<Destination> = self.destinations.iter().filter(is_it).cloned().collect();
        Self {
            destinations: if same.is_empty() {
                self.destinations.clone()
            } else {
                same
            },
            ..self.clone()
        }
    }

    /// Each of its routes.
    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        self.destinations.iter().map(|one| Self {
            destinations: vec![one.clone()],
            ..self.clone()
        })
    }
}

/// Whether a login that there is already will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// It will.
    Warm,
    /// It will not: that a login works is part of what is asked.
    Fresh,
}

/// What a host said about itself, by which route, and when.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What it said.
    pub observation: Observation,
    /// The address that it was reached by.
    pub route: String,
    /// When it was asked.
    pub at: Instant,
}

/// What was observed longer ago than this is asked again before it is acted on: the truth is on
/// the host, read just now.
const OBSERVATION_IS_FRESH: Duration = Duration::from_secs(20);

impl Seen {
    /// Whether it is recent enough to act on.
    pub fn is_fresh(&self) -> bool {
        self.at.elapsed() < OBSERVATION_IS_FRESH
    }
}

/// Why a host could not be asked, or did not do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// It could not be logged in to.
    #[error(transparent)]
    Login(#[from] SshError),
    /// It did not say what it runs.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// An activation could not be started or followed.
    #[error(transparent)]
    Activate(#[from] ActivateError),
    /// It could not be told to reboot.
    #[error(transparent)]
    Reboot(#[from] RebootError),
    /// It is not known what became of its garbage.
    #[error(transparent)]
    Collect(#[from] CollectOnHostError),
}

impl HostError {
    /// Whether it is this machine's own fault, and so says nothing about the host.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Login(error)
            | Self::Observe(ObserveError::Ssh(error))
            | Self::Activate(ActivateError::Ssh { source: error, .. }) => error.is_ours(),
            _ => false,
        }
    }

    /// Whether asking again can succeed.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Login(error) => error.is_worth_retrying(),
            Self::Observe(error) => error.is_worth_retrying(),
            Self::Activate(error) => error.is_worth_retrying(),
            Self::Reboot(error) => error.is_worth_retrying(),
            Self::Collect(error) => error.is_worth_retrying(),
        }
    }

    /// Whether the host was reached and did not let us in.
    pub fn is_access_refused(&self) -> bool {
        match self {
            Self::Login(error) | Self::Observe(ObserveError::Ssh(error)) => {
                error.is_access_refused()
            }
            _ => false,
        }
    }

    /// Whether the activation certainly has not begun. After any other error only the host knows.
    pub fn is_not_started(&self) -> bool {
        matches!(
            self,
            Self::Activate(ActivateError::NotStarted { .. } | ActivateError::NothingToActivate(_))
        )
    }
}

/// Why one try of a probe failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Nothing accepts there.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// It does not answer well.
    #[error("cannot ask")]
    Request(#[source] reqwest::Error),
    /// As the simulator has it.
    #[error("{0}")]
    Said(String),
}

impl ProbeError {
    /// Whether trying again can succeed.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Request(_) | Self::Said(_) => true,
        }
    }
}

/// The hosts.
#[async_trait]
pub trait Hosts: Debug + Send + Sync {
    /// Asks a host what it runs.
    async fn observe(&self, way: &Way, login: Login) -> Result<Seen, HostError>;

    /// Starts an activation; harmless to repeat with the same id.
    async fn start(&self, way: &Way, request: &ActivationRequest) -> Result<(), HostError>;

    /// Waits until an activation has ended or asks for an acknowledgement, or `left` is over.
    async fn wait(
        &self,
        way: &Way,
        id: &DeploymentId,
        left: Duration,
    ) -> Result<ActivationReport, HostError>;

    /// Logs in anew, over a connection that did not exist before the new system did, for the acknowledgement of this
    /// deployment: that it works is what is acknowledged.
    async fn log_in(&self, way: &Way, id: &DeploymentId) -> Result<(), HostError>;

    /// Says over the login that [`Hosts::log_in`] made last how everything looks from here, waits for the end of the
    /// activation, and reads the host back.
    async fn acknowledge(
        &self,
        way: &Way,
        id: &DeploymentId,
        looks: &FromOutside,
        left: Duration,
    ) -> Result<(ActivationReport, Observation), HostError>;

    /// Removes what an ended activation left there.
    async fn clean_up(&self, way: &Way, id: &DeploymentId) -> Result<(), HostError>;

    /// Has it reboot, unless it has left this boot already.
    async fn reboot(&self, way: &Way, boot_id: &str) -> Result<Told, HostError>;

    /// Has it collect its garbage.
    async fn collect_garbage(
        &self,
        way: &Way,
        request: &HostCollectionRequest,
    ) -> Result<HostCollection, HostError>;

    /// The system of a generation of its system profile; `None` if there is no such generation.
    async fn generation(&self, way: &Way, generation: u32) -> Result<Option<Toplevel>, HostError>;

    /// Tries once whether something looks well from here.
    async fn probe(&self, what: &ProbeKind) -> Result<(), ProbeError>;

    /// Lets go of the connections to a host: it has left the fleet, or they are known to be stale.
    fn forget(&self, way: &Way);

    /// Whether the host with this machine id (machine-id(5)) is the machine that we run on.
    async fn is_this_machine(&self, machine_id: &str) -> bool;
}

/// What each attribute evaluates to, or why it does not.
pub type EvaluationResults = BTreeMap<Attribute, Result<Evaluated, Arc<EvaluateError>>>;

/// Nix on the machine that we run on.
#[async_trait]
pub trait Nix: Debug + Send + Sync {
    /// Evaluates attributes of a commit together.
    async fn evaluate(
        &self,
        source: &FlakeSource,
        attributes: &[Attribute],
        timeout: Duration,
    ) -> EvaluationResults;

    /// Builds; on the host itself where a way to it is given.
    async fn build(
        &self,
        request: &BuildRequest,
        on_host: Option<&Way>,
    ) -> Result<Toplevel, BuildError>;

    /// The platform that a system was built for, where it lies here.
    async fn platform_of(&self, toplevel: &Toplevel) -> Option<String>;

    /// Why a system that lies here cannot be switched to, if it cannot: there is nothing in it to do so, or not the
    /// specialisation that is to run.
    async fn unswitchable(
        &self,
        toplevel: &Toplevel,
        specialised: Option<&Specialisation>,
    ) -> Option<String>;

    /// Copies a system to a host.
    async fn copy(
        &self,
        toplevel: &Toplevel,
        way: &Way,
        min_free: MinFree,
        timeout: Duration,
    ) -> Result<(), CopyError>;

    /// Collects the garbage of this machine.
    async fn collect_garbage(&self, timeout: Duration) -> Result<Freed, CollectError>;

    /// The builds that are kept from it.
    async fn build_roots(&self) -> std::io::Result<Vec<BuildRoot>>;

    /// Keeps a build from it no longer.
    async fn let_go(&self, root: &BuildRoot) -> std::io::Result<()>;

    /// What is free for us where this machine's Nix store is, in bytes; `None` where there is none yet.
    fn free_bytes(&self) -> Option<u64>;
}

/// One repository: our mirror of it.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// Brings branches of the mirror to where the server's are.
    async fn fetch(&self, branches: Branches) -> Result<Fetched, MirrorError>;

    /// The newest commit of a branch; `None` if there is no such branch.
    async fn tip(&self, branch: &BranchName) -> Result<Option<Revision>, MirrorError>;

    /// How `to` stands to `from`; a `from` that is not there (any more) was rewound away.
    async fn lineage(&self, from: &Revision, to: &Revision) -> Result<Lineage, MirrorError>;

    /// The commit that a full id, or a unique beginning of one, means.
    async fn resolve(&self, text: &str) -> Result<Revision, MirrorError>;

    /// Why a commit must not be deployed, by the repository's rule on signatures; `None` if it may.
    async fn verify(&self, revision: &Revision) -> Option<Distrust>;

    /// What of a commit is elsewhere than in the repository, and would be deployed as a stand-in; `None` if nothing is.
    async fn unfetched(&self, revision: &Revision) -> Result<Option<Unfetched>, MirrorError>;

    /// The mirror may be damaged: it is looked at closely before the next fetch.
    fn doubt(&self);

    /// Where Nix finds a commit.
    fn flake(&self, revision: &Revision) -> FlakeSource;
}

/// Time and chance.
pub trait Clock: Debug + Send + Sync {
    /// What the time is, in UTC.
    fn now(&self) -> Timestamp;

    /// What chance adds to a backoff.
    fn jitter(&self) -> Jitter;

    /// A number that hardly anybody else comes by, for a deployment's name.
    fn number(&self) -> u32;
}

/// Makes the ports, as one version of the config wants them.
pub trait Outside: Debug + Send + Sync {
    /// The way to hosts.
    fn hosts(&self, config: &Config) -> Arc<dyn Hosts>;

    /// Nix, for what belongs to no repository.
    fn nix(&self, config: &Config) -> Arc<dyn Nix>;

    /// Nix, with what private inputs of a repository need.
    fn nix_of(
        &self,
        name: &RepositoryName,
        repository: &RepositoryConfig,
        config: &Config,
    ) -> Arc<dyn Nix>;

    /// A repository.
    ///
    /// # Errors
    /// When its settings cannot be right.
    fn source(
        &self,
        name: &RepositoryName,
        repository: &RepositoryConfig,
        config: &Config,
    ) -> Result<Arc<dyn Source>, MirrorError>;

    /// Time and chance.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Files that the config names have changed: nothing that was made by them is kept.
    fn renew(&self);
}
