//! Hosts that run, and the file that describes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::host::Host;
use super::lease::Lease;
use crate::claim::Claim;
use crate::process;

/// What the file of a fleet says: JSON with these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The process id of the owner.
    pub owner: u32,
    /// The folder in which everything of this fleet is.
    pub directory: PathBuf,
    /// For `ssh -F`: the aliases of all hosts.
    pub ssh_config: PathBuf,
    /// The private key that may log in everywhere.
    pub identity: PathBuf,
    /// The hosts' public keys, by name and by address.
    pub known_hosts: PathBuf,
    /// This machine's address as the hosts see it.
    pub controller: std::net::Ipv4Addr,
    /// The hosts by name.
    pub hosts: BTreeMap<String, Host>,
}

/// Hosts that run.
#[derive(Debug)]
pub struct Fleet {
    description: Description,
    claim: Option<Claim>,
}

impl Fleet {
    /// A fleet that ends with this value, which whoever knows its file may attach to.
    pub(super) fn owned(claim: Claim, description: Description) -> Result<Self> {
        let fleet = Self {
            description,
            claim: Some(claim),
        };
        fs::write(
            fleet.file(),
            serde_json::to_string_pretty(&fleet.description)?,
        )?;
        Ok(fleet)
    }

    /// Uses a fleet that another process owns.
    ///
    /// # Errors
    /// When the file does not describe one, or its owner is gone.
    pub fn attach(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("no fleet at {}", file.display()))?;
        let description: Description = serde_json::from_slice(&text)?;
        let owner = i32::try_from(description.owner)?;
        process::started(owner)
            .with_context(|| format!("the owner of the fleet {} is gone", file.display()))?;
        Ok(Self {
            description,
            claim: None,
        })
    }

    /// The file that describes this fleet.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.description.directory.join("fleet.json")
    }

    /// What that file says.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Whether the fleet ends with this value.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.claim.is_some()
    }

    /// A host by name.
    ///
    /// # Errors
    /// When the fleet has no such host.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.description
            .hosts
            .get(name)
            .with_context(|| format!("this fleet has no host {name}"))
    }

    /// As [`Fleet::host`], several.
    pub fn hosts(&self, names: &[&str]) -> Result<Vec<&Host>> {
        names.iter().map(|name| self.host(name)).collect()
    }

    /// Takes hosts for one test and resets them, all at once; see [`Host::lease`]. Taken in the order of their names, so that two tests never wait for one another for ever.
    ///
    /// # Errors
    /// When the fleet has no such host, or one cannot be reset.
    pub fn lease(&self, names: &[&str]) -> Result<Vec<Lease>> {
        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        let mut leases = BTreeMap::new();
        for name in sorted {
            leases.insert(name, self.host(name)?.lease()?);
        }
        names
            .iter()
            .map(|name| {
                leases
                    .remove(name)
                    .with_context(|| format!("{name} is asked for twice"))
            })
            .collect()
    }
}
