//! What has to hold when a deployment begins on a host, and when it is acknowledged.

use deploy::{Action, ActivationRequest, DeploymentId};
use desired_state::{HostRecord, Revision};
use jiff::Timestamp;
use planning::model::history::COULD_NOT_STAY;
use planning::model::host_state::StoredState;
use reconciler::context::ports::Clock as _;
use tokio::time::Instant;

use crate::host::Host;
use crate::host::unit::AcknowledgedBy;
use crate::ledger::Begun;
use crate::plan::HostPlan;
use crate::world::World;

/// The hours of the second day, in which freezes are.
const SECOND_DAY: i8 = 5;

/// What is looked at when a deployment begins.
struct Beginning<'a> {
    world: &'a World,
    host: &'a Host,
    request: &'a ActivationRequest,
    record: HostRecord,
    state: StoredState,
    revision: Revision,
}

/// Looks whether a deployment may begin.
pub async fn of(world: &World, host: &Host, request: &ActivationRequest) {
    world.ledger.count(|counts| counts.deployments += 1);
    let Ok(record) = world.witness.host_record(&host.name).await else {
        return;
    };
    let Some(in_flight) = record
        .in_flight
        .clone()
        .filter(|one| one.id == request.id.as_str())
    else {
        let what = format!("{} begins, and is not written down", request.id);
        world
            .ledger
            .breaks("is_written_down_first", Some(&host.name), what);
        return;
    };
    let document = record.document.as_deref().unwrap_or("{}");
    let beginning = Beginning {
        state: StoredState::read(document).unwrap_or_default(),
        world,
        host,
        request,
        record,
        revision: in_flight.revision,
    };
    beginning.is_alone();
    beginning.is_not_suspended();
    beginning.is_in_its_window();
    beginning.is_wanted();
    beginning.is_not_banned();
    beginning.is_not_braked().await;
    world.ledger.of(&host.name).begun.insert(
        request.id.to_string(),
        Begun {
            toplevel: request.new.clone(),
            revision: beginning.revision.clone(),
            at: Instant::now(),
        },
    );
}

impl Beginning<'_> {
    fn breaks(&self, invariant: &'static str, what: &str) {
        let what = format!("{} of {}: {what}", self.request.id, self.request.new.name());
        self.world
            .ledger
            .breaks(invariant, Some(&self.host.name), what);
    }

    /// No deployment begins on a host on which another is at work.
    fn is_alone(&self) {
        let state = self.host.state();
        if let Some(other) = state.at_work() {
            let other = other.request.id.to_string();
            drop(state);
            self.breaks("is_alone", &format!("begins while {other} is at work"));
        }
    }

    /// Nothing is deployed to a suspended host, unless by force.
    fn is_not_suspended(&self) {
        let known = self.world.ledger.of(&self.host.name);
        let since = known.suspended.filter(|_| !known.is_forced());
        drop(known);
        if since.is_some_and(|since| since < Instant::now())
            && !self.world.ledger.was_disturbed_just_now()
        {
            self.breaks("is_not_suspended", "the host is suspended");
        }
    }

    /// A host is changed in its windows only, and in no freeze, unless by force.
    fn is_in_its_window(&self) {
        let is_forced = self.world.ledger.of(&self.host.name).is_forced();
        if !self.request.action.changes_host() {
            return;
        }
        // What is made the boot default for a reboot has the reboot's window, which may close meanwhile.
        let is_for_reboot = self.request.action == Action::Boot;
        let Some(plan) = self.world.plan.hosts.get(&self.host.name) else {
            return;
        };
        let now = self.world.clock.now();
        let a_moment_ago = now - crate::plan::SLOWEST_TURN * 3;
        let is_open = is_open(plan, now) || is_open(plan, a_moment_ago);
        if !is_open
            && !is_forced
            && !is_for_reboot
            && self.world.clock.is_steady_for(crate::plan::SLOWEST_TURN)
        {
            self.breaks("is_in_its_window", &format!("it is {now}"));
        }
    }

    /// What begins is the pinned commit, else the one that the branch asks for, or the last good one in its place.
    fn is_wanted(&self) {
        if self.world.ledger.was_disturbed_just_now() || self.request.action == Action::DryActivate
        {
            return;
        }
        let pin = self.record.pin.as_ref().map(|pin| &pin.revision);
        let wish = self
            .record
            .wish
            .as_ref()
            .and_then(|wish| wish.revision.as_ref());
        let last_good = self.state.state.convergence.last_good.as_ref();
        let is_wanted = pin.or(wish) == Some(&self.revision);
        let is_fallback = last_good.is_some_and(|good| good.revision == self.revision);
        // After a while of ever newer pushes one piece of work is done to its end.
        let is_out_of_patience = self.world.running().is_some_and(|running| {
            let starving = &running.context.registries.starving;
            starving.is_out_of_patience(&self.host.name, Instant::now())
        });
        if !is_wanted && !is_fallback && !is_out_of_patience {
            let what = format!("commit {} is not wanted", self.revision.short());
            self.breaks("is_wanted", &what);
        }
    }

    /// What could not stay on a host does not come back by itself.
    fn is_not_banned(&self) {
        let known = self.world.ledger.of(&self.host.name);
        let ban = known
            .banned
            .iter()
            .find(|ban| ban.toplevel == self.request.new);
        let is_banned = ban.is_some_and(|ban| known.excused.is_none_or(|at| at < ban.known))
            && !known.is_forced();
        drop(known);
        if is_banned {
            self.breaks("is_not_banned", "it could not stay here before");
        }
    }

    /// A commit that as many other hosts have rolled back as may is begun on no further one by itself.
    async fn is_not_braked(&self) {
        let is_exempt = self.world.ledger.of(&self.host.name).is_ordered()
            || self.world.ledger.was_disturbed_just_now()
            || !self.request.action.changes_host();
        let wish = self
            .record
            .wish
            .as_ref()
            .and_then(|wish| wish.revision.as_ref());
        let pin = self.record.pin.as_ref().map(|pin| &pin.revision);
        // A way back is not held up.
        if is_exempt || pin.or(wish) != Some(&self.revision) || self.is_for_reboot() {
            return;
        }
        let witness = &self.world.witness;
        let Ok(others) = witness
            .hosts_that_ended(&self.revision, &COULD_NOT_STAY)
            .await
        else {
            return;
        };
        let mut keep = Vec::new();
        for other in others.into_iter().filter(|other| *other != self.host.name) {
            let state = self.world.remembered(&other).await;
            if state.quarantine.is_some() {
                keep.push(other.to_string());
            }
        }
        if keep.len() >= self.world.plan.rollbacks() {
            let what = format!(
                "commit {} was rolled back by {}",
                self.revision.short(),
                keep.join(" ")
            );
            self.breaks("is_not_braked", &what);
        }
    }

    fn is_for_reboot(&self) -> bool {
        self.request.action == Action::Boot
    }
}

/// Whether a host may be changed at this time.
pub fn is_open(plan: &HostPlan, now: Timestamp) -> bool {
    let clock = now.to_zoned(jiff::tz::TimeZone::UTC);
    let hour = u32::try_from(clock.hour()).unwrap_or_default();
    let is_within = |(from, to): (u32, u32)| match from < to {
        true => (from..to).contains(&hour),
        false => hour >= from || hour < to,
    };
    let is_frozen = plan
        .freeze
        .is_some_and(|freeze| clock.day() == SECOND_DAY && is_within(freeze));
    !is_frozen && plan.window.is_none_or(is_within)
}

/// A system stays only once a login that is newer than it has worked.
pub fn acknowledged(world: &World, host: &Host, id: &DeploymentId, by: AcknowledgedBy) {
    if by == AcknowledgedBy::OldConnection {
        let what = format!("{id} is acknowledged over a connection from before");
        world.ledger.breaks("acknowledged", Some(&host.name), what);
    }
}
