//! The tables `[defaults]` and `[hosts.NAME]`: the same keys, read by the same function, twice.

use std::collections::BTreeMap;
use std::time::Duration;

use deploy::{Action, Attribute, BuildOn, MinFree, Sudo};
use desired_state::{BranchName, HostName, RepositoryName};

use super::bytes::bytes;
use super::complaint::{Complaint, quoted};
use super::destinations::{destinations, sudo};
use super::mistake::nearest;
use super::parse::SECOND;
use super::repositories::Repositories;
use super::section::Section;
use super::values::{Given, checked, choice, duration, number, text};
use super::windows::{freezes, windows};
use super::{
    Availability, BackoffConfig, CareConfig, HostConfig, Policy, ProofConfig, RebootConfig,
    Timeouts,
};
use crate::metrics::CONTROLLER;
use crate::window::{Freeze, Window};

/// The steepest growth of a wait: with more, the second wait is the longest one already.
const STEEPEST: f64 = 100.0;

/// An intermittent host that has not been there for so long gets no security updates either.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The keys that `[defaults]` and every host have in common.
#[derive(Clone)]
struct Common {
    repository: Option<RepositoryName>,
    branch: Option<BranchName>,
    action: Action,
    policy: Policy,
    interval: Duration,
    build_on: BuildOn,
    availability: Availability,
    /// By its availability where nobody says.
    overdue_after: Option<Duration>,
    min_free: MinFree,
    store: CareConfig,
    sudo: Sudo,
    timeouts: Timeouts,
    proof: ProofConfig,
    reboot: RebootConfig,
    backoff: BackoffConfig,
    windows: Vec<Window>,
    freezes: Vec<Freeze>,
}

impl Common {
    /// What holds where nobody says anything.
    fn built_in(repositories: &Repositories) -> Common {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Common {
            repository: repositories.only().cloned(),
            branch: "main".parse().ok(),
            action: Action::Switch,
            policy: Policy::Enforce,
            interval: minutes(1),
            build_on: BuildOn::Here,
            availability: Availability::Always,
            overdue_after: None,
            min_free: MinFree::DEFAULT,
            store: CareConfig::built_in(),
            sudo: Sudo::No,
            timeouts: Timeouts {
                connect: Duration::from_secs(10),
                observe: Duration::from_secs(30),
                evaluate: minutes(10),
                build: minutes(120),
                copy: minutes(60),
                activate: minutes(15),
            },
            proof: ProofConfig::built_in(),
            reboot: RebootConfig::built_in(),
            backoff: BackoffConfig {
                first: Duration::from_secs(10),
                factor: 2.0,
                max: minutes(60),
                jitter: 0.2,
            },
            windows: Vec::new(),
            freezes: Vec::new(),
        }
    }

    /// Reads `table`; what it does not say is taken from `fallback`.
    fn read(table: &mut Section<'_>, fallback: &Common, repositories: &Repositories) -> Common {
        const POLICIES: [(&str, Policy); 2] =
            [("enforce", Policy::Enforce), ("observe", Policy::Observe)];
        const AVAILABILITIES: [(&str, Availability); 2] = [
            ("always", Availability::Always),
            ("intermittent", Availability::Intermittent),
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
            min_free: table.or("min_free", min_free, fallback.min_free),
            store: CareConfig::read(table.section("store"), &fallback.store),
            sudo: table.or("sudo", sudo, fallback.sudo),
            timeouts: timeouts(table.section("timeouts"), &fallback.timeouts),
            proof: ProofConfig::read(table.section("proof"), &fallback.proof),
            reboot: RebootConfig::read(table.section("reboot"), &fallback.reboot),
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

/// Reads all hosts.
pub(super) fn hosts(
    top: &mut Section<'_>,
    repositories: &Repositories,
) -> BTreeMap<HostName, HostConfig> {
    let mut table = top.section("defaults");
    let defaults = Common::read(&mut table, &Common::built_in(repositories), repositories);
    for key in ["destinations", "attribute"] {
        if table.has(key) {
            table.mistake_at(key, each_host_its_own(key));
            table.known(key);
        }
    }
    table.finish();

    let mut hosts = BTreeMap::new();
    let mut unused: Vec<&RepositoryName> = repositories.names.iter().collect();
    for (key, table) in top.named_sections("hosts") {
        match key.name.parse::<HostName>() {
            Ok(name) if name.as_str() == CONTROLLER => table.mistake(the_machines_own()),
            Ok(name) => {
                if let Some(host) = host(&name, table, &defaults, repositories) {
                    unused.retain(|repository| **repository != host.repository);
                    hosts.insert(name, host);
                }
            }
            Err(error) => table.mistake(Complaint::new(
                "this is not the name of a host",
                error.why(),
                "write it as in [hosts.cyt-pi], with the host's name under nixosConfigurations",
            )),
        }
    }
    if hosts.is_empty() {
        top.warn(Complaint::new(
            "there are no hosts",
            "nothing will be deployed",
            "add a table [hosts.NAME]",
        ));
    } else if !unused.is_empty() {
        let names: Vec<&str> = unused.into_iter().map(RepositoryName::as_str).collect();
        top.warn(Complaint::new(
            format!("no host follows {}", names.join(" or ")),
            "it is fetched for nothing",
            "remove its table, or set `repository` in a host's",
        ));
    }
    hosts
}

/// `None` once a mistake is noted.
fn host(
    name: &HostName,
    mut table: Section<'_>,
    defaults: &Common,
    repositories: &Repositories,
) -> Option<HostConfig> {
    let common = Common::read(&mut table, defaults, repositories);
    let attribute = attribute(name, &mut table);
    let destinations = destinations(name, &mut table, common.sudo);
    if common.repository.is_none() && !table.has("repository") {
        table.mistake(no_repository(repositories));
    }
    table.finish();
    Some(HostConfig {
        repository: common.repository?,
        branch: common.branch?,
        attribute: attribute?,
        destinations: destinations?,
        action: common.action,
        policy: common.policy,
        interval: common.interval,
        timeouts: common.timeouts,
        proof: common.proof,
        reboot: common.reboot,
        backoff: common.backoff,
        build_on: common.build_on,
        availability: common.availability,
        overdue_after: common.overdue_after.unwrap_or(match common.availability {
            Availability::Always => Duration::ZERO,
            Availability::Intermittent => A_WEEK,
        }),
        windows: common.windows,
        freezes: common.freezes,
        min_free: common.min_free,
        store: common.store,
    })
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
            Complaint::new(
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

fn attribute(name: &HostName, table: &mut Section<'_>) -> Option<Attribute> {
    let written = table.optional(
        "attribute",
        checked("\"cyt-pi\", a name under nixosConfigurations"),
    );
    if written.is_some() || table.has("attribute") {
        return written;
    }
    match name.as_str().parse() {
        Ok(attribute) => Some(attribute),
        Err(error) => {
            let error: deploy::AttributeError = error;
            table.mistake(Complaint::new(
                "the host's name cannot be an attribute of the flake",
                error.to_string(),
                "name the attribute: attribute = \"…\"",
            ));
            None
        }
    }
}

fn min_free(given: Given<'_>) -> Result<MinFree, Complaint> {
    bytes(given).map(MinFree::bytes)
}

fn build_on(given: Given<'_>) -> Result<BuildOn, Complaint> {
    let written = text(given)?;
    if written.starts_with('-') || written.contains(char::is_control) {
        return Err(Complaint::new(
            format!("{} cannot be a builder", quoted(&written)),
            "it is an argument of nix, on one line, and not an option",
            "write \"here\", \"target\", an SSH destination or a line of nix.conf's `builders`",
        ));
    }
    Ok(BuildOn::from(written))
}

fn looks_like(builder: &str, word: &str) -> Complaint {
    Complaint::new(
        format!(
            "{} is taken for the SSH destination of a builder",
            quoted(builder)
        ),
        format!("it looks much like `{word}`"),
        format!("did you mean `{word}`? If not, write ssh-ng://{builder}"),
    )
}

fn each_host_its_own(key: &str) -> Complaint {
    Complaint::new(
        format!("`{key}` has no default"),
        "no two hosts can share it",
        format!("move it to the table of its host: [hosts.NAME] {key} = …"),
    )
}

fn the_machines_own() -> Complaint {
    Complaint::new(
        format!("no host can be called `{CONTROLLER}`"),
        "the metrics of this machine's own store go by that name",
        format!(
            "write another name, with attribute = \"{CONTROLLER}\" where the flake has this one"
        ),
    )
}

fn no_repository(repositories: &Repositories) -> Complaint {
    let names: Vec<&str> = repositories
        .names
        .iter()
        .map(RepositoryName::as_str)
        .collect();
    let (why, mend) = match names.first() {
        None => (
            "none is configured".to_owned(),
            "add a table [repositories.\"owner/name\"] with its url".to_owned(),
        ),
        Some(first) => (
            format!("there are several: {}", names.join(", ")),
            format!("add repository = {first:?} here or to [defaults]"),
        ),
    };
    Complaint::new("the host has no repository", why, mend)
}
