//! Gathers how the wanted commit fared on other hosts.

use desired_state::{HostName, StoreError};
use planning::model::goal::Goal;
use planning::model::history::COULD_NOT_STAY;
use planning::rollout::{Fared, Quarantined, halted_by, is_gated};

use crate::execution::reconciliation::Reconciliation;
use crate::state::host::remembered;

impl Reconciliation {
    /// The other hosts that keep the commit from this one, if they are as many as the config allows.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn halted_by(&self, goal: &Goal) -> Result<Vec<HostName>, StoreError> {
        if !is_gated(goal) {
            return Ok(Vec::new());
        }
        let revision = &goal.target.revision;
        let store = &self.context.store;
        let mut others = Vec::new();
        for host in store.hosts_that_ended(revision, &COULD_NOT_STAY).await? {
            let quarantine = remembered(&self.context, &host).await?.state.quarantine;
            others.push(Fared {
                host,
                keeps: match quarantine {
                    Some(_) => Quarantined::Yes,
                    None => Quarantined::No,
                },
            });
        }
        let allowed = self.clients.config.limits.rollbacks;
        Ok(halted_by(&self.host, &others, allowed))
    }
}

#[cfg(test)]
mod tests;
