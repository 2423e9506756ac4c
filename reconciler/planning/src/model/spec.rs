//! What the config wants of a host and of its repository: the values, read and checked elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use deploy::{Action, Attribute, BuildOn, Destination, MinFree, Specialisation};
use desired_state::{BranchName, RepositoryName, Signers};

use crate::maintenance::{Freeze, Window};
use crate::model::health_checks::ProofConfig;

/// What this machine's own store goes by where hosts' stores go by the hosts' names; no host can be called so.
pub const CONTROLLER: &str = "controller";

/// Table `[repositories."owner/name"]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositoryConfig {
    /// Where the mirror fetches from; holds no password.
    pub url: String,
    /// How the server knows us.
    pub access: RepositoryAccess,
    /// The folder of `flake.nix` within the repository; `.` for its root.
    pub flake_folder: String,
    /// How often branches are fetched though no delivery came.
    pub poll_interval: Duration,
    /// How long a fetch may get nothing.
    pub fetch_timeout: Duration,
    /// What happens when a branch was rewound.
    pub forced_push: ForcedPush,
    /// Whose signature a commit has to carry; `None` where it need not carry any.
    pub signers: Option<Signers>,
}

/// How the Git server knows us.
#[derive(Debug, Clone, PartialEq)]
pub enum RepositoryAccess {
    /// A local or public repository.
    None,
    /// By an SSH key.
    SshKey {
        /// The private key.
        key: PathBuf,
        /// The server's host keys; `None` leaves it to the OpenSSH client's own files.
        known_hosts: Option<PathBuf>,
    },
    /// By a token over HTTP.
    Token {
        /// The file that holds the token.
        file: PathBuf,
        /// The user name sent with it; Gitea accepts any with a token.
        user: String,
    },
}

/// What happens when a branch was rewound by a forced push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForcedPush {
    /// The host keeps its revision, and we say so.
    Refuse,
    /// The host follows.
    Follow,
}

/// Table `[hosts.NAME]`, with `[defaults]` filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct HostConfig {
    /// Where its system comes from.
    pub follows: Follows,
    /// How and when it is looked at.
    pub reach: Reach,
    /// What a deployment does.
    pub action: Action,
    /// The specialisation that is to run; `None` keeps the one that a person has chosen.
    pub specialisation: Option<Specialisation>,
    /// Whether drift is corrected.
    pub policy: Policy,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// What a system has to prove before it stays.
    pub proof: ProofConfig,
    /// Whether and when it is rebooted.
    pub reboot: RebootConfig,
    /// How long to wait after a failure.
    pub backoff: BackoffConfig,
    /// When it may be changed.
    pub maintenance: Maintenance,
    /// Where its system is built, and what becomes of its Nix store.
    pub nix: HostNix,
}

/// Where a host's system comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Follows {
    /// The repository that the host follows; always one that the config has a table of.
    pub repository: RepositoryName,
    /// The branch that the host follows.
    pub branch: BranchName,
    /// The name under `nixosConfigurations`; the host's own name unless said otherwise.
    pub attribute: Attribute,
}

/// How and when a host is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// One or more ways to reach the host, tried in order.
    pub destinations: Vec<Destination>,
    /// Whether the host is expected to be up.
    pub availability: Availability,
    /// After how long without an answer its absence is trouble.
    pub overdue_after: Duration,
    /// How often the host is reconciled, at least 1 s.
    pub interval: Duration,
    /// By what it is known.
    pub identity: Identity,
}

/// By what a host is known to be the one that was first met under its name, beside its host key, without which nobody
/// is logged in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// By its machine id (`machine-id(5)`).
    MachineId,
    /// By its host key alone: its machine id is another one after each boot.
    HostKey,
}

/// When a host may be changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Maintenance {
    /// When it may be changed without force; at any time where there are none.
    pub windows: Vec<Window>,
    /// When it may not, in a window or not.
    pub freezes: Vec<Freeze>,
}

/// Where a host's system is built, and what becomes of its Nix store.
#[derive(Debug, Clone, PartialEq)]
pub struct HostNix {
    /// Where the host's system is built.
    pub build_on: BuildOn,
    /// What has to stay free in the host's Nix store.
    pub min_free: MinFree,
    /// What has to stay free on its `/boot`.
    pub min_free_boot: MinFree,
    /// When its garbage is collected, and what is kept.
    pub care: CareConfig,
}

/// Whether drift is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Drift is corrected.
    Enforce,
    /// Drift is reported only.
    Observe,
}

impl Policy {
    /// As the config spells it.
    pub fn label(self) -> &'static str {
        match self {
            Policy::Enforce => "enforce",
            Policy::Observe => "observe",
        }
    }
}

/// Whether a host is expected to be up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It is: an unreachable host is trouble at once.
    Always,
    /// An unreachable host is usual, and no trouble for some days.
    Intermittent,
}

/// An intermittent host that has not been there for so long gets no security updates either.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Availability {
    /// After how long without an answer its absence is trouble, where nobody says.
    pub fn overdue_after(self) -> Duration {
        match self {
            Availability::Always => Duration::ZERO,
            Availability::Intermittent => A_WEEK,
        }
    }
}

/// How long each phase of one reconciliation may take, each at least 1 s.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    /// To reach the host by SSH.
    pub connect: Duration,
    /// To see what the host runs.
    pub observe: Duration,
    /// To evaluate the flake.
    pub evaluate: Duration,
    /// To build the system.
    pub build: Duration,
    /// For each silence while the closure is copied.
    pub copy: Duration,
    /// To activate the system.
    pub activate: Duration,
}

/// A host that is there lets us in within seconds, over a bad network too.
const CONNECT: Duration = Duration::from_secs(10);
/// One script that reads some files and asks systemd: seconds, even on a host that is short of memory.
const OBSERVE: Duration = Duration::from_secs(30);
/// A large flake takes minutes on a small machine, its inputs included.
const EVALUATE: Duration = Duration::from_secs(10 * 60);
/// What no cache has is compiled, and may be a kernel.
const BUILD: Duration = Duration::from_secs(2 * 60 * 60);
/// Some gigabytes over a slow line.
const COPY: Duration = Duration::from_secs(60 * 60);
/// Units are stopped and started one after another, each with a timeout of its own (systemd.service(5)).
const ACTIVATE: Duration = Duration::from_secs(15 * 60);

impl Timeouts {
    /// What holds where nobody says anything.
    pub fn built_in() -> Self {
        Self {
            connect: CONNECT,
            observe: OBSERVE,
            evaluate: EVALUATE,
            build: BUILD,
            copy: COPY,
            activate: ACTIVATE,
        }
    }
}

/// How long to wait after a failure: `first`, then times `factor`, at most `max`, each ± `jitter`.
#[derive(Debug, Clone, PartialEq)]
pub struct BackoffConfig {
    /// The wait after the first failure, at most `max`.
    pub first: Duration,
    /// The growth per further failure, at least 1.
    pub factor: f64,
    /// The longest wait.
    pub max: Duration,
    /// The random share of each wait, 0..=1.
    pub jitter: f64,
}

/// What fails for a moment only is over by then.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// What was mended meanwhile, and nobody says so, is found out within the hour.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

impl BackoffConfig {
    /// What holds where nobody says anything.
    pub fn built_in() -> Self {
        Self {
            first: FIRST_WAIT,
            factor: 2.0,
            max: LONGEST_WAIT,
            jitter: 0.2,
        }
    }
}

/// Table `[hosts.NAME.reboot]`, with `[defaults.reboot]` filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct RebootConfig {
    /// Whether the loop reboots the host by itself.
    pub policy: RebootPolicy,
    /// When it may be rebooted; `None` where deployments' own windows hold, empty for at any time.
    pub windows: Option<Vec<Window>>,
    /// How long the host may take to be back, at least 1 s.
    pub deadline: Duration,
}

/// Whether the loop reboots a host by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebootPolicy {
    /// Never.
    Never,
    /// When only a reboot brings it wholly to the wanted system.
    WhenRequired,
}

/// How long a host may take to be back: a server's firmware takes minutes, and so does a file system's
/// check.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

impl RebootConfig {
    /// What holds where nobody says anything.
    pub fn built_in() -> Self {
        Self {
            policy: RebootPolicy::Never,
            windows: None,
            deadline: DEADLINE,
        }
    }
}

/// When the garbage of a store is collected, and what is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct CareConfig {
    /// How often; `None` for never by the clock.
    pub collect_every: Option<Duration>,
    /// Also when less than this is free, in bytes; 0 for never.
    pub collect_when_free_below: u64,
    /// What is younger is kept: builds here, generations of the system profile on a host.
    pub keep_for: Duration,
    /// So many systems that have proven themselves are kept for each host, whatever their age.
    pub keep_proven: usize,
    /// How long one collection may take.
    pub timeout: Duration,
}

/// A month of systems to go back to.
const KEEP_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Deleting some hundred thousand files takes minutes, on an SD card tens of them.
const COLLECTION_TIMEOUT: Duration = Duration::from_secs(30 * 60);

impl CareConfig {
    /// What holds where nobody says anything. Nothing is collected then: the store is that of everybody on
    /// the machine, and what its owner has built and not rooted would be gone.
    pub fn built_in() -> Self {
        Self {
            collect_every: None,
            collect_when_free_below: 0,
            keep_for: KEEP_FOR,
            keep_proven: 3,
            timeout: COLLECTION_TIMEOUT,
        }
    }

    /// Whether the garbage is ever collected.
    pub fn is_on(&self) -> bool {
        self.collect_every.is_some() || self.collect_when_free_below > 0
    }
}
