//! Whether a deployment still stands on the settings that it began with.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use desired_state::HostName;
use planning::model::spec::{HostConfig, HostNix, Reach, RepositoryConfig};

use super::model::Config;

/// Of the settings that a deployment of a host stands on: what it differs in would be another deployment. It means
/// something within one process only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Config {
    /// The fingerprint for `host`; `None` where there is no such host. When it is deployed and how often, whether drift
    /// is corrected, and what else is done to the host have no part in it. Pure.
    pub fn fingerprint_of(&self, host: &HostName) -> Option<Fingerprint> {
        let host = self.hosts.get(host)?;
        let repository = self.repositories.get(&host.follows.repository);
        let settings = (
            of_host(host),
            repository.map(of_repository),
            &self.ssh,
            &self.nix,
            &self.store.secret_key_file,
        );
        let mut hasher = DefaultHasher::new();
        // Each of them derives `Debug`, which shows every value whole, and not all are `Hash`.
        format!("{settings:?}").hash(&mut hasher);
        Some(Fingerprint(hasher.finish()))
    }
}

/// Every field is named, so that who adds one has to say whether a deployment stands on it.
fn of_host(host: &HostConfig) -> impl Debug {
    let HostConfig {
        follows,
        reach,
        action,
        specialisation,
        proof,
        timeouts,
        nix,
        policy: _,
        reboot: _,
        backoff: _,
        maintenance: _,
    } = host;
    let Reach {
        destinations,
        availability: _,
        overdue_after: _,
        interval: _,
        identity: _,
    } = reach;
    let HostNix {
        build_on,
        min_free,
        min_free_boot,
        care: _,
    } = nix;
    let built = (build_on, min_free, min_free_boot);
    let what = (action, specialisation);
    (follows, destinations, what, built, proof, timeouts)
}

fn of_repository(repository: &RepositoryConfig) -> impl Debug {
    let RepositoryConfig {
        url,
        access,
        flake_folder,
        signers,
        poll_interval: _,
        fetch_timeout: _,
        forced_push: _,
    } = repository;
    (url, access, flake_folder, signers)
}

#[cfg(test)]
mod tests;
