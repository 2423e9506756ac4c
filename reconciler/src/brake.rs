//! The fleet's brake: a commit that some hosts have rolled back is kept from those that have not begun it.

use desired_state::{HostName, StoreError};

use crate::desired::{Desired, Standing};
use crate::pass::Pass;
use crate::status;

/// How a deployment of a commit that could not stay ended.
const ROLLED_BACK: [&str; 2] = ["rolled_back", "rollback_failed"];

/// The other hosts that have rolled the wanted commit back and keep its system in quarantine, if they
/// are as many as the config allows; else none. A host that went back only because we were away says
/// nothing about the commit. What changes no host, what a person asked for once, and a host's way back
/// are not held up.
///
/// # Errors
/// When the state cannot be read.
pub async fn braked_by(pass: &Pass, desired: &Desired) -> Result<Vec<HostName>, StoreError> {
    if desired.standing != Standing::Kept || !desired.target.action.changes_host() {
        return Ok(Vec::new());
    }
    let revision = &desired.target.revision;
    let store = &pass.world.store;
    let mut hosts = Vec::new();
    for host in store.hosts_that_ended(revision, &ROLLED_BACK).await? {
        if host != pass.host && status::memory(store, &host).await?.quarantine.is_some() {
            hosts.push(host);
        }
    }
    if hosts.len() < pass.setup.config.limits.rollbacks {
        hosts.clear();
    }
    Ok(hosts)
}
