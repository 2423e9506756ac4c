//! A daemon for a fleet and a forge.

use std::fs;
use std::net::SocketAddr;

use anyhow::Result;

use super::child::Daemon;
use super::config::Config;
use crate::claim::Claim;
use crate::fleet::Host;
use crate::forge::{Forge, Hook, Repository, free_port};

/// The secret that the daemon and the forge's hook share.
pub const SECRET: &str = "test-bed-secret";

impl Daemon {
    /// Prepares a daemon for one repository and some hosts, and has the forge tell it of pushes. Nothing runs yet.
    ///
    /// The settings are quick ones: hosts are looked at every 2 s, git every 60 s, so that what a test sees within
    /// seconds came from a delivery.
    ///
    /// # Errors
    /// When ports or files cannot be had, or there is no binary.
    pub fn prepare(forge: &Forge, repository: &Repository, hosts: &[&Host]) -> Result<Self> {
        let claim = Claim::new()?;
        let folder = claim.directory();
        let secret_file = folder.join("webhook-secret");
        fs::write(&secret_file, SECRET)?;
        let webhook = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        repository.add_hook(Hook::new(&format!("http://{webhook}/hook"), SECRET))?;
        let lines = format!(
            "url = \"{}\"\nssh_key_file = \"{}\"\nknown_hosts_file = \"{}\"",
            repository.ssh_url()?,
            forge.deploy_key().display(),
            forge.known_hosts().display()
        );
        let ssh_config = match hosts.first() {
            Some(host) => host.ssh_config.clone(),
            None => {
                let empty = folder.join("ssh_config");
                fs::write(&empty, "")?;
                empty
            }
        };
        let config = Config {
            state_directory: folder.join("state"),
            webhook,
            secret_files: vec![secret_file],
            operator: SocketAddr::from(([127, 0, 0, 1], free_port()?)),
            ssh_config,
            repositories: vec![(repository.full_name()?, lines)],
            hosts: hosts
                .iter()
                .map(|host| (host.name.clone(), destinations(host)))
                .collect(),
            ..Config::quick()
        };
        Self::new(claim, config)
    }
}

/// How a host of the fleet is reached, as its lines in the config say it.
fn destinations(host: &Host) -> String {
    if host.root_alias == host.name {
        return format!("destinations = [\"{}\"]", host.root_alias);
    }
    format!(
        "destinations = [\"{}\", {{ ssh = \"{}\", sudo = true }}]",
        host.root_alias, host.worker_alias
    )
}
