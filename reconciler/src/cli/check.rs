//! `reconcile check`.

use crate::context::outside::{MirrorSource, SystemClock};
use crate::context::ports::Clock as _;
use planning::maintenance::{self, Openness};
use planning::model::spec::{HostConfig, RepositoryConfig};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use desired_state::HostName;
use desired_state::RepositoryName;
use futures::future::join_all;
use jiff::Timestamp;

use super::exit::{CliError, Exit};
use super::output;
use crate::config::{self, Config, Environment};
use crate::error_chain::error_chain;

/// A server that does not answer for so long is not waited for: that is no mistake of the config.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// The options of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Ask no server: look at the config and its files alone
    #[arg(long)]
    offline: bool,
    /// Look at the config alone, not at the files that it names: they may be on another machine, as in a build
    #[arg(long)]
    config_only: bool,
}

/// Reads the config whole, and the files that it names, and asks each repository's server unless it
/// is told not to; reports every mistake at once.
pub async fn run(
    file: &Path,
    environment: &Environment,
    arguments: &CheckArguments,
) -> Result<Exit, CliError> {
    let loaded = config::load(file, environment)?;
    if !arguments.config_only {
        for warning in config::check(&loaded)?.iter() {
            output::note(&format!("{warning}"));
        }
    }
    let config = &loaded.config;
    let asked = config
        .repositories
        .iter()
        .filter(|_| !arguments.offline && !arguments.config_only)
        .map(|(name, repository)| ask(name, repository, config));
    if join_all(asked).await.contains(&Answer::Refused) {
        return Ok(Exit::Usage);
    }
    let now = SystemClock.now();
    let times: String = config
        .hosts
        .iter()
        .filter_map(|(name, host)| Some(format!("  {name}: {}\n", times(host, now)?)))
        .collect();
    output::print(&format!(
        "{}: good: {} ({}), {}\n{times}",
        file.display(),
        count(config.hosts.len(), "host", "hosts"),
        config
            .hosts
            .keys()
            .map(HostName::as_str)
            .collect::<Vec<_>>()
            .join(", "),
        count(config.repositories.len(), "repository", "repositories"),
    ))
}

/// Whether a host with windows or freezes may be changed now, and else when: that they are what was meant is not
/// seen until a deployment waits.
fn times(host: &HostConfig, now: Timestamp) -> Option<String> {
    if host.maintenance.windows.is_empty() && host.maintenance.freezes.is_empty() {
        return None;
    }
    Some(
        match maintenance::open(&host.maintenance.windows, &host.maintenance.freezes, now) {
            Openness::Open => "may be changed now".to_owned(),
            Openness::Closed {
                reason,
                opens: Some(opens),
            } => format!("may be changed from {opens:.0} on ({reason})"),
            Openness::Closed {
                reason,
                opens: None,
            } => format!("may not be changed for weeks ({reason})"),
        },
    )
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What a repository's server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It can be fetched from, or that could not be found out now.
    NoMistake,
    /// It can never be fetched from as the config is.
    Refused,
}

async fn ask(name: &RepositoryName, repository: &RepositoryConfig, config: &Config) -> Answer {
    let asked = match MirrorSource::open(name, repository, config) {
        Ok(source) => source.ask(ASK_TIMEOUT).await,
        Err(error) => Err(error),
    };
    let asked = asked.map_err(|error| (error.is_worth_retrying(), error_chain(&error)));
    match asked {
        Ok(()) => Answer::NoMistake,
        Err((true, why)) => {
            output::note(&format!("warning: {name} could not be asked: {why}"));
            Answer::NoMistake
        }
        Err((false, why)) => {
            output::note(&format!("error: {name}: {why}"));
            Answer::Refused
        }
    }
}
