//! What a person's order, if there is one, asks of a reconciliation.

use deploy::Outcome;
use desired_state::BranchState;
use planning::model::host_state::Progress;
use planning::model::order::{Then, Trigger};

use crate::execution::reconciliation::Reconciliation;
use crate::state::host::Stored;

impl Reconciliation {
    /// How strongly a person asks now.
    pub fn trigger(&self, progress: &Progress) -> Trigger {
        match &self.order {
            // What they asked for has been tried: a failure is not tried twice for one asking.
            Some(order) if !order.trigger.is_forced() && self.meanwhile(progress).is_some() => {
                Trigger::Scheduled
            }
            Some(order) => order.trigger,
            None => Trigger::Scheduled,
        }
    }

    /// How strongly a person asked, whatever has come of it since.
    pub fn asked(&self) -> Trigger {
        let order = self.order.as_ref();
        order.map_or(Trigger::Scheduled, |order| order.trigger)
    }

    /// What a person wants to follow, unless it has been done since they asked.
    pub fn then(&self, progress: &Progress) -> Then {
        match &self.order {
            Some(order) if self.meanwhile(progress) != Some(Outcome::Rebooted) => order.then,
            _ => Then::Nothing,
        }
    }

    /// What became of the branch that the host follows, for a person who asks.
    pub fn branch_state(&self, stored: &Stored) -> Option<BranchState> {
        if self.order.is_none() || stored.pin.is_some() {
            return None;
        }
        let wish = stored.wish.as_ref();
        wish.filter(|wish| wish.branch == self.config.follows.branch)
            .map(|wish| wish.branch_state.clone())
    }

    /// How an attempt for the same target ended between a person's asking and their order's turn:
    /// it is what they asked for, and so the answer.
    pub fn meanwhile(&self, progress: &Progress) -> Option<Outcome> {
        let order = self.order.as_ref()?;
        let outcome = progress.outcome.clone();
        outcome.filter(|_| progress.outcome_at >= Some(order.at))
    }
}

#[cfg(test)]
mod tests;
