//! What has to hold at the end, when nothing goes wrong any more and every branch has a last good commit.

use std::sync::Arc;
use std::time::Duration;

use desired_state::{BranchState, HostName};
use tokio::time::{Instant, sleep};

use crate::git::Kind;
use crate::invariants::{bounds, ending};
use crate::people;
use crate::world::World;

/// Between two looks whether all hosts are there.
const BETWEEN: Duration = Duration::from_secs(60);
/// A host whose window has just closed waits for a day.
const WINDOW: Duration = Duration::from_secs(24 * 3600);
/// The longest that a host is off, and until whoever was away is back.
const BACK: Duration = Duration::from_secs(4 * 3600);

/// Ends everything that goes wrong, and pushes a good commit to every branch.
pub async fn begins(world: &Arc<World>, state: &std::path::Path) {
    world.story.tell("controller", "things calm down");
    world.machine.is_mended();
    world.clock.step(jiff::SignedDuration::ZERO);
    for repository in world.repositories.values() {
        repository.go_away_until(None);
    }
    for host in world.hosts.values() {
        host.change(|state| {
            state.cut_until = None;
            state.refuses_until = None;
            state.full_until = None;
            state.slowness = 1;
        });
    }
    sleep(BETWEEN).await;
    people::undo_everything(world, state).await;
    for repository in world.repositories.values() {
        for branch in world.branches() {
            let onto = repository.mainline(&branch);
            repository.commit(&branch, Kind::Perfect, 1.0, onto.as_ref());
        }
    }
}

/// Every host that nothing keeps from it runs and boots the last good commit of its branch within a stated bound.
pub async fn every_host_converges(world: &Arc<World>) {
    let bound = bounds::turn(world) * 2 + WINDOW + BACK;
    let began = Instant::now();
    while began.elapsed() < bound && world.ledger.broken().is_none() {
        sleep(BETWEEN).await;
        let behind = behind(world);
        if behind.is_empty() {
            return;
        }
        allow_rewound(world, &behind).await;
    }
    if let Some(host) = behind(world).first() {
        let running = world
            .hosts
            .get(host)
            .map(|one| one.state().running.name().to_owned());
        let what = format!(
            "it still runs {} after {bound:?}",
            running.unwrap_or_default()
        );
        world
            .ledger
            .breaks("every_host_converges", Some(host), what);
    }
}

/// The hosts that are not where they belong.
fn behind(world: &World) -> Vec<HostName> {
    let is_behind = |name: &&HostName| {
        let (Some(plan), Some(host)) = (world.plan.hosts.get(*name), world.hosts.get(*name)) else {
            return false;
        };
        let tip = world
            .repository_of(name)
            .and_then(|one| one.tip(&plan.branch));
        let Some(wanted) = tip.and_then(|tip| world.system(name, &tip)) else {
            return true;
        };
        let state = host.state();
        let is_there =
            state.running == wanted.toplevel && state.profile().as_ref() == Some(&wanted.toplevel);
        !plan.is_observed && !is_there
    };
    world.hosts.keys().filter(is_behind).cloned().collect()
}

/// A forced push that a person has once allowed for one host alone leaves that host on another line: they allow it again.
async fn allow_rewound(world: &Arc<World>, behind: &[HostName]) {
    for host in behind {
        let wish = world.witness.wish(host).await.ok().flatten();
        if wish.is_some_and(|wish| matches!(wish.branch_state, BranchState::Rewound { .. })) {
            people::allow_forced_push(world, host).await;
        }
    }
}

/// Every deployment that ever began on a host has exactly one row in the history.
pub async fn every_deployment_is_told_once(world: &World) {
    for name in world.hosts.keys() {
        let begun: Vec<String> = world.ledger.of(name).begun.keys().cloned().collect();
        for id in begun {
            let rows = ending::rows_of(world, name, &id).await.len();
            let is_at_work = world.hosts[name]
                .state()
                .units
                .keys()
                .any(|one| one.as_str() == id);
            if rows != 1 && !is_at_work {
                let what = format!("{id} has {rows} rows in the history");
                world
                    .ledger
                    .breaks("every_deployment_is_told_once", Some(name), what);
            }
        }
    }
}
