//! Which hosts a request names, and who makes it.

use std::collections::BTreeSet;

use desired_state::HostName;
use planning::model::requests::HostSelection;
use planning::model::spec::HostConfig;

use crate::commands::error::{LONGEST_NAME, RequestError};
use crate::context::Clients;

/// The hosts that a request names, each once, with their tables of the config.
///
/// # Errors
/// When it names none, or one that is not of the fleet.
pub fn named<'a>(
    clients: &'a Clients,
    hosts: &HostSelection,
) -> Result<Vec<(HostName, &'a HostConfig)>, RequestError> {
    let fleet = &clients.config.hosts;
    let names: BTreeSet<&HostName> = match hosts {
        HostSelection::All => fleet.keys().collect(),
        HostSelection::Named(names) => names.iter().collect(),
    };
    if names.is_empty() {
        return Err(RequestError::NoHost);
    }
    names
        .into_iter()
        .map(|name| {
            let config = fleet.get(name).ok_or_else(|| RequestError::UnknownHost {
                host: name.clone(),
                nearest: nearest(name, fleet.keys()),
            })?;
            Ok((name.clone(), config))
        })
        .collect()
}

/// The most similar name, if one is similar at all.
fn nearest<'a>(name: &HostName, fleet: impl Iterator<Item = &'a HostName>) -> Option<HostName> {
    /// Below this, two names have nothing to do with one another.
    const SIMILAR: f64 = 0.7;
    fleet
        .map(|other| {
            let similarity = strsim::jaro_winkler(
                &name.as_ref().to_lowercase(),
                &other.as_ref().to_lowercase(),
            );
            (similarity, other)
        })
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, other)| other.clone())
}

/// Whether a request says who makes it.
///
/// # Errors
/// When it does not.
pub fn check_name(name: &str) -> Result<(), RequestError> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(RequestError::NoName);
    }
    Ok(())
}
