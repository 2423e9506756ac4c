//! `reconcile check`.

use std::path::Path;
use std::time::Duration;

use desired_state::HostName;
use desired_state::RepositoryName;
use futures::future::join_all;

use super::exit::{CliError, Exit};
use super::output;
use crate::config::{self, Config, Environment, RepositoryConfig};
use crate::repository::words;
use crate::world::Repository;

/// A server that does not answer for so long is not waited for: that is no mistake of the config.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the config whole, and the files that it names, and asks each repository's server; reports
/// every mistake at once.
pub async fn run(file: &Path, environment: &Environment) -> Result<Exit, CliError> {
    let loaded = config::load(file, environment)?;
    let warnings = config::check(&loaded)?;
    for warning in warnings.iter() {
        output::note(&format!("{warning}"));
    }
    let config = &loaded.config;
    let asked = config
        .repositories
        .iter()
        .map(|(name, repository)| ask(name, repository, config));
    if join_all(asked).await.contains(&Answer::Refused) {
        return Ok(Exit::Usage);
    }
    output::print(&format!(
        "{}: good: {} ({}), {}\n",
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
    let asked = match Repository::new(name, repository, config) {
        Ok(repository) => {
            let answer = repository.mirror.ask(ASK_TIMEOUT).await;
            answer.map_err(|error| (error.is_worth_retrying(), words(&error)))
        }
        Err(error) => Err((error.is_worth_retrying(), words(&error))),
    };
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
