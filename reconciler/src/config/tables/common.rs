//! The keys that the tables `[defaults]` and `[hosts.NAME]` have in common, read by the same function, twice.

use std::time::Duration;

use deploy::{Action, BuildOn, MinFree, Specialisation, Sudo};
use desired_state::{BranchName, RepositoryName};
use planning::maintenance::{Freeze, Window};
use planning::model::health_checks::ProofConfig;
use planning::model::spec::{
    Availability, BackoffConfig, CareConfig, Identity, Policy, RebootConfig, Timeouts,
};

use super::destinations::sudo;
use super::health_checks::health_checks;
use super::reboots::reboots;
use super::repositories::Repositories;
use super::store::care;
use super::windows::{freezes, windows};
use crate::config::reader::values::{Given, SECOND, checked, choice, duration, number, text};
use crate::config::reader::{Problem, Section, bytes, nearest, quoted};

/// The steepest growth of a wait: with more, the second wait is the longest one already.
const STEEPEST: f64 = 100.0;

/// What somebody changes by hand on a host is seen within a minute.
const INTERVAL: Duration = Duration::from_secs(60);

/// The keys that `[defaults]` and every host have in common.
#[derive(Clone)]
pub(super) struct Common {
    pub repository: Option<RepositoryName>,
    pub branch: Option<BranchName>,
    pub action: Action,
    pub specialisation: Option<Specialisation>,
    pub policy: Policy,
    pub interval: Duration,
    pub build_on: BuildOn,
    pub availability: Availability,
    /// By its availability where nobody says.
    pub overdue_after: Option<Duration>,
    pub identity: Identity,
    pub min_free: MinFree,
    pub min_free_boot: MinFree,
    pub store: CareConfig,
    pub sudo: Sudo,
    pub timeouts: Timeouts,
    pub proof: ProofConfig,
    pub reboot: RebootConfig,
    pub backoff: BackoffConfig,
    pub windows: Vec<Window>,
    pub freezes: Vec<Freeze>,
}

impl Common {
    /// What holds where nobody says anything.
    pub fn built_in(repositories: &Repositories) -> Common {
        Common {
            repository: repositories.only().cloned(),
            branch: "main".parse().ok(),
            action: Action::Switch,
            specialisation: None,
            policy: Policy::Enforce,
            interval: INTERVAL,
            build_on: BuildOn::Here,
            availability: Availability::Always,
            overdue_after: None,
            identity: Identity::MachineId,
            min_free: MinFree::DEFAULT,
            min_free_boot: MinFree::BOOT,
            store: CareConfig::built_in(),
            sudo: Sudo::No,
            timeouts: Timeouts::built_in(),
            proof: ProofConfig::built_in(),
            reboot: RebootConfig::built_in(),
            backoff: BackoffConfig::built_in(),
            windows: Vec::new(),
            freezes: Vec::new(),
        }
    }

    /// Reads `table`; what it does not say is taken from `fallback`.
    pub fn read(table: &mut Section<'_>, fallback: &Common, repositories: &Repositories) -> Common {
        const POLICIES: [(&str, Policy); 2] =
            [("enforce", Policy::Enforce), ("observe", Policy::Observe)];
        const AVAILABILITIES: [(&str, Availability); 2] = [
            ("always", Availability::Always),
            ("intermittent", Availability::Intermittent),
        ];
        const IDENTITIES: [(&str, Identity); 2] = [
            ("machine-id", Identity::MachineId),
            ("host-key", Identity::HostKey),
        ];
        let actions = Action::ALL.map(|action| (action.name(), action));
        let common = Common {
            repository: table
                .optional("repository", repositories.named())
                .or(fallback.repository.clone()),
            branch: table
                .optional("branch", checked("\"main\""))
                .or(fallback.branch.clone()),
            action: table.or("action", choice(&actions), fallback.action),
            specialisation: table
                .optional("specialisation", checked("\"travel\""))
                .or(fallback.specialisation.clone()),
            policy: table.or("policy", choice(&POLICIES), fallback.policy),
            interval: table.or("interval", duration(SECOND), fallback.interval),
            build_on: table.or("build_on", build_on, fallback.build_on.clone()),
            availability: table.or(
                "availability",
                choice(&AVAILABILITIES),
                fallback.availability,
            ),
            overdue_after: table
                .optional("overdue_after", duration(Duration::ZERO))
                .or(fallback.overdue_after),
            identity: table.or("identity", choice(&IDENTITIES), fallback.identity),
            min_free: table.or("min_free", min_free, fallback.min_free),
            min_free_boot: table.or("min_free_boot", min_free, fallback.min_free_boot),
            store: care(table.section("store"), &fallback.store),
            sudo: table.or("sudo", sudo, fallback.sudo),
            timeouts: timeouts(table.section("timeouts"), &fallback.timeouts),
            proof: health_checks(table.section("proof"), &fallback.proof),
            reboot: reboots(table.section("reboot"), &fallback.reboot),
            backoff: backoff(table.section("backoff"), &fallback.backoff),
            windows: windows(table, "windows").unwrap_or_else(|| fallback.windows.clone()),
            freezes: freezes(table, "freezes").unwrap_or_else(|| fallback.freezes.clone()),
        };
        if let BuildOn::Builder(builder) = &common.build_on
            && table.has("build_on")
            && let Some(word) = nearest(builder, ["here", "target"])
        {
            table.warn_at("build_on", looks_like(builder, word));
        }
        common
    }
}

fn timeouts(mut table: Section<'_>, fallback: &Timeouts) -> Timeouts {
    let mut timeout = |key, fallback| table.or(key, duration(SECOND), fallback);
    let timeouts = Timeouts {
        connect: timeout("connect", fallback.connect),
        observe: timeout("observe", fallback.observe),
        evaluate: timeout("evaluate", fallback.evaluate),
        build: timeout("build", fallback.build),
        copy: timeout("copy", fallback.copy),
        activate: timeout("activate", fallback.activate),
    };
    table.finish();
    timeouts
}

fn backoff(mut table: Section<'_>, fallback: &BackoffConfig) -> BackoffConfig {
    let backoff = BackoffConfig {
        first: table.or("first", duration(SECOND), fallback.first),
        factor: table.or("factor", number(1.0..=STEEPEST), fallback.factor),
        max: table.or("max", duration(SECOND), fallback.max),
        jitter: table.or("jitter", number(0.0..=1.0), fallback.jitter),
    };
    // Where neither is said here, the fault is the fallback's, and told there.
    let said_here = ["first", "max"].into_iter().find(|key| table.has(key));
    if let Some(key) = said_here
        && backoff.first > backoff.max
    {
        table.mistake_at(
            key,
            Problem::new(
                format!(
                    "the first wait, {:?}, is longer than the longest, {:?}",
                    backoff.first, backoff.max
                ),
                "waits grow from `first` up to `max`",
                "make `first` smaller or `max` larger",
            ),
        );
    }
    table.finish();
    backoff
}

fn min_free(given: Given<'_>) -> Result<MinFree, Problem> {
    bytes(given).map(MinFree::bytes)
}

fn build_on(given: Given<'_>) -> Result<BuildOn, Problem> {
    let written = text(given)?;
    if written.starts_with('-') || written.contains(char::is_control) {
        return Err(Problem::new(
            format!("{} cannot be a builder", quoted(&written)),
            "it is an argument of nix, on one line, and not an option",
            "write \"here\", \"target\", an SSH destination or a line of nix.conf's `builders`",
        ));
    }
    Ok(BuildOn::from(written))
}

fn looks_like(builder: &str, word: &str) -> Problem {
    Problem::new(
        format!(
            "{} is taken for the SSH destination of a builder",
            quoted(builder)
        ),
        format!("it looks much like `{word}`"),
        format!("did you mean `{word}`? If not, write ssh-ng://{builder}"),
    )
}
