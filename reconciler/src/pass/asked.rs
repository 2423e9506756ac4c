//! What a person's order, if there is one, asks of a pass.

use deploy::Outcome;
use desired_state::{BranchState, StoreError};

use super::Pass;
use crate::api::Then;
use crate::decide::Insistence;
use crate::memory::Memory;

impl Pass {
    /// How strongly a person asks now.
    pub(super) fn insistence(&self, memory: &Memory) -> Insistence {
        match &self.order {
            // What they asked for has been tried: a failure is not tried twice for one asking.
            Some(order) if !order.insistence.is_forced() && self.meanwhile(memory).is_some() => {
                Insistence::None
            }
            Some(order) => order.insistence,
            None => Insistence::None,
        }
    }

    /// How strongly a person asked, whatever has come of it since.
    pub fn asked(&self) -> Insistence {
        let order = self.order.as_ref();
        order.map_or(Insistence::None, |order| order.insistence)
    }

    /// What a person wants to follow, unless it has been done since they asked.
    pub fn then(&self, memory: &Memory) -> Then {
        match &self.order {
            Some(order) if self.meanwhile(memory) != Some(Outcome::Rebooted) => order.then,
            _ => Then::Nothing,
        }
    }

    /// What became of the branch that the host follows, for a person who asks.
    pub(super) async fn branch_state(&self) -> Result<Option<BranchState>, StoreError> {
        let store = &self.world.store;
        if self.order.is_none() || store.pinned(&self.host).await?.is_some() {
            return Ok(None);
        }
        let wish = store.wish(&self.host).await?;
        let wish = wish.filter(|wish| wish.branch == self.config.branch);
        Ok(wish.map(|wish| wish.branch_state))
    }

    /// How an attempt for the same target ended between a person's asking and their order's turn:
    /// it is what they asked for, and so the answer.
    pub(super) fn meanwhile(&self, memory: &Memory) -> Option<Outcome> {
        let order = self.order.as_ref()?;
        let outcome = memory.outcome.clone();
        outcome.filter(|_| memory.outcome_at >= Some(order.at))
    }
}
