//! One reconciliation of one host: what all its steps work with.

use std::sync::Arc;

use deploy::{Outcome, Specialisation};
use desired_state::HostName;
use jiff::Timestamp;
use planning::maintenance::{self, Openness};
use planning::model::decision::{Decision, Why};
use planning::model::goal::{Goal, GoalKind};
use planning::model::order::Order;
use planning::model::report::Report;
use planning::model::spec::HostConfig;

use crate::context::ports::Way;
use crate::context::{Clients, Context, Repository};

/// What the steps of one reconciliation work with.
#[derive(Debug)]
pub struct Reconciliation {
    /// What all reconciliations share.
    pub context: Arc<Context>,
    /// The clients as they were when it began.
    pub clients: Arc<Clients>,
    /// The host.
    pub host: HostName,
    /// Its table in the config.
    pub config: HostConfig,
    /// The repository that it follows.
    pub repository: Arc<Repository>,
    /// A person's order, if one is carried out.
    pub order: Option<Order>,
}

impl Reconciliation {
    /// One of `host` by what is set up now; `None` if it is not of the fleet.
    pub fn new(context: &Arc<Context>, host: &HostName, order: Option<Order>) -> Option<Self> {
        let clients = context.clients();
        let config = clients.host(host)?.clone();
        let repository = Arc::clone(clients.repository(&config.follows.repository)?);
        Some(Self {
            context: Arc::clone(context),
            clients,
            host: host.clone(),
            config,
            repository,
            order,
        })
    }

    /// What the time is.
    pub fn now(&self) -> Timestamp {
        self.context.now()
    }

    /// The way to the host.
    pub fn way(&self) -> Way {
        Way::to(&self.host, &self.config)
    }

    /// Whether the host may be changed without a person's force, by what the config says now: a reconciliation
    /// takes hours where a build does.
    pub fn openness(&self, now: Timestamp) -> Openness {
        let clients = self.context.clients();
        let config = clients.host(&self.host).unwrap_or(&self.config);
        maintenance::open(
            &config.maintenance.windows,
            &config.maintenance.freezes,
            now,
        )
    }

    /// The specialisation that is to run of a goal's system, where the config names one. What is only fallen back to
    /// may be older than the specialisation: there it is left to the host.
    pub fn specialised(&self, goal: &Goal) -> Option<&Specialisation> {
        let named = self.config.specialisation.as_ref();
        named.filter(|_| !matches!(goal.kind, GoalKind::Fallback { .. }))
    }

    /// What is told of one that decided so and did nothing.
    pub fn report(&self, decision: Decision) -> Report {
        Report {
            order: self.order.as_ref().map(|order| order.id),
            revision: None,
            branch_state: None,
            decision,
            outcome: None,
            failed_units: Vec::new(),
            output: String::new(),
        }
    }

    /// What is told of one whose goal was overtaken.
    pub fn superseded(&self, goal: &Goal) -> Report {
        let revision = &goal.target.revision;
        tracing::info!(host = %self.host, revision = revision.short(), "superseded: something newer is wanted");
        Report {
            revision: Some(revision.clone()),
            outcome: Some(Outcome::Superseded),
            ..self.report(Decision::Wait {
                why: Why::Superseded,
            })
        }
    }
}

#[cfg(test)]
mod tests;
