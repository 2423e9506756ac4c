//! Small stories with a script, each of which asks for one thing.

mod crashes;
mod determinism;
mod lies;
mod overwriting;
mod quarantine;
mod reboots;
mod supersession;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use desired_state::{HostName, RepositoryName, Revision};
use tokio::time::{Instant, sleep};
use tracing::Level;

use crate::controller::Crashes;
use crate::git::Kind;
use crate::plan::{BRANCHES, Plan, REPOSITORIES};
use crate::run::{Ended, in_a_world};
use crate::world::World;

/// Between two looks whether something has come true: shorter than anything that is measured.
const BETWEEN: Duration = Duration::from_millis(20);
/// Nothing that a test waits for takes longer.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// A fleet of which nothing is special, that follows one branch.
fn plain(hosts: u32) -> Plan {
    let mut plan = Plan::draw(1, hosts, 1);
    plan.interval = Duration::from_secs(60);
    plan.poll = Duration::from_secs(60);
    plan.limits = [4, 4, 4, 2];
    for host in plan.hosts.values_mut() {
        host.repository = REPOSITORIES[0].parse().unwrap();
        host.branch = BRANCHES[0].parse().unwrap();
        (host.window, host.freeze) = (None, None);
        (host.is_observed, host.is_intermittent) = (false, false);
        (host.is_rebooted, host.has_probe) = (false, false);
    }
    plan
}

/// Has something happen in a world.
fn happens<F: Future<Output = ()>>(
    plan: Plan,
    crashes: Crashes,
    what: impl FnOnce(Arc<World>, PathBuf) -> F,
) -> Ended {
    in_a_world(plan, Level::INFO, crashes, what).unwrap()
}

/// The host of this number.
fn host(number: u32) -> HostName {
    format!("host-{number:02}").parse().unwrap()
}

/// Commits for the fleet.
fn commit(world: &World, kind: Kind) -> Revision {
    let name: RepositoryName = REPOSITORIES[0].parse().unwrap();
    let repository = &world.repositories[&name];
    repository.commit(&BRANCHES[0].parse().unwrap(), kind, 1.0, None)
}

/// Waits until something has come true.
async fn until(world: &World, what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < LONGEST, "{what}:\n{}", world.story.text());
        sleep(BETWEEN).await;
    }
}

/// Waits until a host runs and boots its system of a commit.
async fn until_on(world: &World, host: &HostName, commit: &Revision) {
    let wanted = world.system(host, commit).unwrap().toplevel;
    until(world, &format!("{host} is on {commit}"), || {
        let state = world.hosts[host].state();
        state.running == wanted && state.profile().as_ref() == Some(&wanted)
    })
    .await;
}
