//! What has to hold when a deployment has ended and its end is written down.

use deploy::{ActivationVerdict, DeploymentId};
use desired_state::{HistoryEntry, HistoryFilter, HostName, Revision};
use planning::model::history::HistoryKind;
use reconciler::context::ports::Clock;
use tokio::time::Instant;

use crate::host::unit::Unit;
use crate::invariants::attempts;
use crate::ledger::Banned;
use crate::world::World;

/// More rows than this are not looked through for one deployment.
const ROWS: u32 = HistoryFilter::MOST;

/// What an ended deployment left on its host is removed only once its end is in the history, in one row, and as the
/// host tells it.
pub async fn is_on_record(world: &World, host: &HostName, id: &DeploymentId) {
    let Some(unit) = world
        .hosts
        .get(host)
        .and_then(|one| one.state().units.get(id).cloned())
    else {
        return;
    };
    let Some(verdict) = unit.verdict.clone() else {
        return;
    };
    let rows = rows_of(world, host, id.as_str()).await;
    let [row] = rows.as_slice() else {
        let what = format!(
            "{id} ended ({verdict:?}) and has {} rows in the history",
            rows.len()
        );
        world.ledger.breaks("is_on_record", Some(host), what);
        return;
    };
    let label = row.outcome.as_deref().unwrap_or_default();
    if !tells(&verdict, label) {
        let what = format!("{id} ended ({verdict:?}) and the history says {label}");
        world.ledger.breaks("is_on_record", Some(host), what);
    }
    world.ledger.disturb();
    note(world, host, &unit, row).await;
}

/// The rows of the history that stand for a deployment.
pub async fn rows_of(world: &World, host: &HostName, id: &str) -> Vec<HistoryEntry> {
    let filter = HistoryFilter {
        host: Some(host.clone()),
        kind: Some(HistoryKind::Deployment.label().to_owned()),
        limit: ROWS,
    };
    let mut rows = world.witness.history(&filter).await.unwrap_or_default();
    rows.retain(|row| row.deployment.as_deref() == Some(id));
    rows
}

/// A rollback is never told as a success, nor a success as a rollback.
fn tells(verdict: &ActivationVerdict, label: &str) -> bool {
    match verdict {
        ActivationVerdict::RolledBack { .. } => label == "rolled_back",
        ActivationVerdict::Done => [
            "converged",
            "dry_activated",
            "observed_changed",
            "activation_interrupted",
        ]
        .contains(&label),
        ActivationVerdict::Failed { .. } => label == "activation_failed",
        ActivationVerdict::Refused { .. } => label == "activation_refused",
        _ => true,
    }
}

async fn is_wanted(world: &World, host: &HostName, revision: &Revision) -> bool {
    let record = world.witness.host_record(host).await.unwrap_or_default();
    let pin = record.pin.map(|pin| pin.revision);
    let wish = record.wish.and_then(|wish| wish.revision);
    pin.or(wish).as_ref() == Some(revision)
}

/// Whether one life of the controller has lasted since then, and could reach everybody.
fn could_be_attended(world: &World, since: Instant) -> bool {
    world.lives_since().is_some_and(|life| life < since)
        && world.machine.reaches_others_since(since)
}

async fn note(world: &World, host: &HostName, unit: &Unit, row: &HistoryEntry) {
    let label = row.outcome.as_deref().unwrap_or_default();
    let state = world.remembered(host).await;
    let begun = world
        .ledger
        .of(host)
        .begun
        .get(unit.request.id.as_str())
        .cloned();
    if let Some(begun) = &begun
        && matches!(label, "activation_failed" | "activation_refused")
    {
        // A life that ended between the record and the cleaning leaves the cleaning to the next.
        let ago = world.clock.now().duration_since(row.at);
        attempts::failed(world, host, &begun.revision, ago.unsigned_abs());
    }
    let is_the_wanted_one = match &begun {
        Some(begun) => is_wanted(world, host, &begun.revision).await,
        None => false,
    };
    let mut known = world.ledger.of(host);
    known.last_seen = state.presence.last_seen.filter(|_| {
        world
            .clock
            .is_steady_for(std::time::Duration::from_secs(3600))
    });
    if label == "converged" || label == "degraded" {
        known.failures = None;
    }
    if label != "rolled_back"
        || known
            .banned
            .iter()
            .any(|ban| ban.toplevel == unit.request.new)
    {
        return;
    }
    let toplevel = unit.request.new.clone();
    // A way back that failed too is none any more, and what is wanted stays in quarantine.
    let has_lost_its_way_back = !is_the_wanted_one && state.convergence.last_good.is_none();
    let is_kept = state.quarantine_of(&toplevel).is_some();
    let was_attended = begun.is_some_and(|begun| could_be_attended(world, begun.at));
    if is_kept {
        if is_the_wanted_one {
            // Another is wanted than the one before.
            known.banned.clear();
        }
        known.banned.push(Banned {
            toplevel,
            known: Instant::now(),
        });
    } else if was_attended && !has_lost_its_way_back {
        drop(known);
        let what = format!(
            "{} could not stay and is not in quarantine",
            toplevel.name()
        );
        world
            .ledger
            .breaks("what_could_not_stay_is_in_quarantine", Some(host), what);
    }
}
