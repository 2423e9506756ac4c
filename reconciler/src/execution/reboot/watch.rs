//! Tells a host to reboot, and watches it come back.

use std::time::Duration;

use deploy::{Observation, Outcome, Told};
use planning::model::host_state::HostState;
use planning::model::reboot::Reboot;
use planning::reboot::{Progress, progress};

use crate::context::ports::{HostError, Login};
use crate::error_chain::error_chain;
use crate::execution::reconciliation::Reconciliation;

/// Between two looks at a host that reboots: sshd locks out those who knock faster
/// (`PerSourcePenalties`), and a boot takes longer than this.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);
/// A host whose systemd has refused so often in a row does not mean it otherwise: it also refuses while
/// it is about to begin a reboot that an earlier run of ours asked for.
const REFUSALS: u32 = 4;

impl Reconciliation {
    /// Tells the host to reboot and waits for it, until it is back or its deadline is over; gives what it
    /// says of itself then.
    pub(super) async fn watch_reboot(
        &self,
        reboot: &Reboot,
        state: &HostState,
    ) -> (Outcome, Option<Observation>) {
        let ignored = &self.config.proof.ignored_units;
        let mut refusals = 0;
        let mut has_obeyed = false;
        loop {
            let seen = self.observe_fresh(state).await;
            let observed = seen.as_ref().map_err(String::as_str);
            match (progress(reboot, observed, ignored, self.now()), seen) {
                (Progress::Ended(outcome), seen) => return (outcome, seen.ok()),
                (Progress::Tell, Ok(observation)) => match self.tell_to_reboot(reboot).await {
                    Some(Told::Reboots | Told::HasRebooted) => has_obeyed = true,
                    Some(Told::Locked { by }) if !has_obeyed => {
                        return (Outcome::Locked { by }, Some(observation));
                    }
                    Some(Told::Refused { detail }) if !has_obeyed => {
                        refusals += 1;
                        if refusals == REFUSALS {
                            return (Outcome::DidNotReboot { detail }, Some(observation));
                        }
                    }
                    _ => {}
                },
                (Progress::Tell | Progress::Wait, _) => {}
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn tell_to_reboot(&self, reboot: &Reboot) -> Option<Told> {
        let told = self
            .clients
            .hosts
            .reboot(&self.way(), &reboot.boot_id)
            .await;
        told.map_err(|error| {
            tracing::debug!(host = %self.host, error = error_chain(&error), "looking whether it reboots");
        })
        .ok()
    }

    /// What the host says over a new login.
    async fn observe_fresh(&self, state: &HostState) -> Result<Observation, String> {
        let words = |error: HostError| error_chain(&error);
        let hosts = &self.clients.hosts;
        let seen = hosts.observe(&self.way(), Login::Fresh).await;
        let observation = seen.map_err(words)?.observation;
        match state.other_machine(self.config.reach.identity, &observation) {
            Some(expected) => Err(format!(
                "another machine answers: its machine-id is {}, and that of this host was {expected}",
                observation.machine_id
            )),
            None => Ok(observation),
        }
    }
}
