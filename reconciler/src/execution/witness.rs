//! Whether it is the host that does not answer, or we who reach nobody.

use deploy::Outcome;
use desired_state::HostName;
use planning::model::goal::Goal;
use planning::model::health_checks::Acknowledge;

use crate::context::ports::{Login, Way};
use crate::execution::build_and_copy::Ready;
use crate::execution::observe::Unseen;
use crate::execution::reconciliation::Reconciliation;
use crate::state::host::Stored;

/// So many other hosts are asked at most. One or two could be off themselves.
const WITNESSES: usize = 3;

impl Reconciliation {
    /// Whether none of the hosts that answered at their last look lets us in either: then what is in the way is ours.
    /// Where there is no such host, the silence of this one counts.
    pub async fn is_cut_off(&self) -> bool {
        let mut asked = 0;
        for (host, config) in &self.clients.config.hosts {
            if *host == self.host || !self.is_a_witness(host).await {
                continue;
            }
            let way = Way::to(host, config);
            if self.clients.hosts.observe(&way, Login::Fresh).await.is_ok() {
                return false;
            }
            asked += 1;
            if asked == WITNESSES {
                break;
            }
        }
        asked > 0
    }

    /// Whether it answered at its last look, and nothing is done to it that could take it away: one bad commit cuts off
    /// every host that gets it.
    async fn is_a_witness(&self, host: &HostName) -> bool {
        let stored = Stored::load(&self.context, host).await;
        stored.is_ok_and(|stored| {
            let presence = &stored.remembered.state.presence;
            let answered = presence.last_seen.is_some() && presence.unreachable.is_none();
            answered && stored.in_flight.is_none()
        })
    }

    /// Whether the host lets us in anew, by each route by which the new system will have to.
    ///
    /// # Errors
    /// How the attempt ends if it does not: nothing of it is the new system's doing.
    pub async fn new_logins_work(&self, goal: &Goal, ready: &Ready) -> Result<(), Outcome> {
        if !goal.target.action.activates() {
            return Ok(());
        }
        let ways: Vec<Way> = match self.config.proof.acknowledge {
            Acknowledge::No => Vec::new(),
            Acknowledge::SameRoute => vec![self.way().by(&ready.seen.route)],
            Acknowledge::EveryRoute => self.way().each().collect(),
        };
        for way in ways {
            let looked = self.clients.hosts.observe(&way, Login::Fresh).await;
            looked.map_err(|error| {
                match Unseen::from(error) {
                    Unseen::Away(detail) => Unseen::Away(before_anything(&detail)),
                    Unseen::Refused(detail) => Unseen::Refused(before_anything(&detail)),
                }
                .outcome()
            })?;
        }
        Ok(())
    }
}

fn before_anything(detail: &str) -> String {
    format!("a new login does not work, so nothing was activated: {detail}")
}

#[cfg(test)]
mod tests;
