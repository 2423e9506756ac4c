//! What the loop would do now, without doing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use desired_state::{BranchState, Branches, Cause, HostName, StoreError};
use futures::future::join_all;
use planning::desired::{from_branch, kept};
use planning::model::decision::{Decision, Why};
use planning::model::goal::Goal;
use planning::model::report::Plan;
use planning::model::requests::HostSelection;
use planning::track::{Occasion, track};

use crate::commands::error::RequestError;
use crate::commands::hosts::named;
use crate::context::Context;
use crate::controller::branches::tip;
use crate::error_chain::error_chain;
use crate::execution::evaluate::failed;
use crate::execution::facts::Evaluation;
use crate::execution::reconciliation::Reconciliation;
use crate::execution::supersede::StillWanted;
use crate::state::host::Stored;

/// Decides for each host, and changes nothing: fetches, evaluates, observes.
///
/// # Errors
/// When the request makes no sense, or the state cannot be read.
pub async fn plan(
    context: &Arc<Context>,
    hosts: &HostSelection,
) -> Result<Vec<Plan>, RequestError> {
    let clients = context.clients();
    let hosts = named(&clients, hosts)?;
    let mut not_fetched = BTreeMap::new();
    for (name, repository) in &clients.repositories {
        if !hosts
            .iter()
            .any(|(_, config)| config.follows.repository == *name)
        {
            continue;
        }
        if let Err(error) = repository.source.fetch(Branches::All).await {
            not_fetched.insert(name.clone(), error_chain(&error));
        }
    }
    let plans = join_all(hosts.iter().map(|(host, config)| {
        let not_fetched = not_fetched.get(&config.follows.repository).cloned();
        of_host(context, host, not_fetched)
    }));
    let plans: Result<Vec<_>, StoreError> = plans.await.into_iter().collect();
    Ok(plans?.into_iter().flatten().collect())
}

async fn of_host(
    context: &Arc<Context>,
    host: &HostName,
    not_fetched: Option<String>,
) -> Result<Option<Plan>, StoreError> {
    let Some(one) = Reconciliation::new(context, host, None) else {
        return Ok(None);
    };
    let mut wanted = StillWanted::from_now_on(&one);
    let mut stored = Stored::load(context, host).await?;
    let (branch_state, goal) = would_be_wanted(&one, &stored).await;
    let mut plan = Plan {
        host: host.clone(),
        revision: None,
        action: one.config.action,
        running: None,
        wanted: None,
        decision: Decision::UpToDate,
        failure: None,
        branch_state,
        not_fetched,
    };
    let wait = |why| Decision::Wait { why };
    let goal = match goal {
        Ok(goal) => goal,
        Err(why) => {
            let seen = one.observe().await.ok();
            plan.running = seen.and_then(|seen| seen.observation.running);
            plan.decision = wait(why);
            return Ok(Some(plan));
        }
    };
    plan.revision = Some(goal.target.revision.clone());
    plan.action = goal.target.action;
    stored.remembered.state.aim(&goal.target);
    let facts = one.facts(&goal, &stored.remembered.state.progress);
    let Ok(facts) = wanted.during(&goal, facts).await? else {
        plan.decision = wait(Why::Superseded);
        return Ok(Some(plan));
    };
    let facts = facts?;
    match &facts.evaluation {
        Evaluation::Done { evaluated, .. } => {
            stored.remembered.state.progress.wanted = Some(evaluated.toplevel.clone());
        }
        Evaluation::Failed(error) => {
            plan.failure = Some(failed(error, one.config.timeouts.evaluate));
        }
        Evaluation::NotNow => {}
    }
    if let Ok(seen) = &facts.seen {
        plan.running.clone_from(&seen.observation.running);
    }
    plan.decision = one.decide(&goal, &stored, &facts).await?;
    plan.wanted = stored.remembered.state.progress.wanted;
    Ok(Some(plan))
}

/// What would be wanted of the host if the repository were fetched now, and what its branch would be,
/// if it follows one.
async fn would_be_wanted(
    one: &Reconciliation,
    stored: &Stored,
) -> (Option<BranchState>, Result<Goal, Why>) {
    let (host, config) = (&one.host, &one.config);
    let recorded = stored.wish.as_ref();
    if stored.pin.is_some() {
        return (None, kept(config, stored.pin.as_ref(), recorded));
    }
    let tip = match tip(&one.repository, config, recorded).await {
        Ok(tip) => tip,
        Err(error) => {
            let detail = error_chain(&error);
            return (None, Err(Why::NoRevision { detail }));
        }
    };
    let occasion = Occasion {
        cause: Cause::Poll,
        at: one.now(),
    };
    let rule = one.repository.config.forced_push;
    let would_be = track(host, config, rule, recorded, &tip, &occasion);
    let wish = would_be.as_ref().or(recorded);
    let branch_state = wish.map(|wish| wish.branch_state.clone());
    (branch_state, from_branch(config, wish))
}
