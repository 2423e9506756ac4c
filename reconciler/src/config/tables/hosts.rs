//! The tables `[defaults]` and `[hosts.NAME]`.

use std::collections::BTreeMap;

use deploy::Attribute;
use desired_state::{HostName, RepositoryName};
use planning::model::spec::{CONTROLLER, Follows, HostConfig, HostNix, Maintenance, Reach};

use super::common::Common;
use super::destinations::destinations;
use super::repositories::Repositories;
use crate::config::reader::values::checked;
use crate::config::reader::{Problem, Section};

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
                    unused.retain(|repository| **repository != host.follows.repository);
                    hosts.insert(name, host);
                }
            }
            Err(error) => table.mistake(Problem::new(
                "this is not the name of a host",
                error.why(),
                "write it as in [hosts.cyt-pi], with the host's name under nixosConfigurations",
            )),
        }
    }
    if hosts.is_empty() {
        top.warn(Problem::new(
            "there are no hosts",
            "nothing will be deployed",
            "add a table [hosts.NAME]",
        ));
    } else if !unused.is_empty() {
        let names: Vec<&str> = unused.into_iter().map(RepositoryName::as_str).collect();
        top.warn(Problem::new(
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
    let overdue_after = common.overdue_after;
    Some(HostConfig {
        follows: Follows {
            repository: common.repository?,
            branch: common.branch?,
            attribute: attribute?,
        },
        reach: Reach {
            destinations: destinations?,
            availability: common.availability,
            overdue_after: overdue_after.unwrap_or_else(|| common.availability.overdue_after()),
            interval: common.interval,
            identity: common.identity,
        },
        action: common.action,
        specialisation: common.specialisation,
        policy: common.policy,
        timeouts: common.timeouts,
        proof: common.proof,
        reboot: common.reboot,
        backoff: common.backoff,
        maintenance: Maintenance {
            windows: common.windows,
            freezes: common.freezes,
        },
        nix: HostNix {
            build_on: common.build_on,
            min_free: common.min_free,
            min_free_boot: common.min_free_boot,
            care: common.store,
        },
    })
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
            table.mistake(Problem::new(
                "the host's name cannot be an attribute of the flake",
                error.to_string(),
                "name the attribute: attribute = \"…\"",
            ));
            None
        }
    }
}

fn each_host_its_own(key: &str) -> Problem {
    Problem::new(
        format!("`{key}` has no default"),
        "no two hosts can share it",
        format!("move it to the table of its host: [hosts.NAME] {key} = …"),
    )
}

fn the_machines_own() -> Problem {
    Problem::new(
        format!("no host can be called `{CONTROLLER}`"),
        "the metrics of this machine's own store go by that name",
        format!(
            "write another name, with attribute = \"{CONTROLLER}\" where the flake has this one"
        ),
    )
}

fn no_repository(repositories: &Repositories) -> Problem {
    let names: Vec<&str> = repositories
        .names
        .iter()
        .map(RepositoryName::as_str)
        .collect();
    let (why, help) = match names.first() {
        None => (
            "none is configured".to_owned(),
            "add a table [repositories.\"owner/name\"] with its url".to_owned(),
        ),
        Some(first) => (
            format!("there are several: {}", names.join(", ")),
            format!("add repository = {first:?} here or to [defaults]"),
        ),
    };
    Problem::new("the host has no repository", why, help)
}
