//! When the garbage of a store is collected, and which builds are let go of. Pure: the time, the free space and the last
//! collection are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use deploy::{Action, BuildRoot, Toplevel};
use desired_state::{Collection, CollectionResult};
use jiff::Timestamp;

use crate::maintenance::Openness;
use crate::model::decision::Decision;
use crate::model::spec::{CareConfig, Policy};

/// After a collection that failed, or that did not free enough: the next would hardly do better before. Also
/// where the cause is not worth retrying: nothing tells us that a person has mended it, and a try costs little.
const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why garbage is collected now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The last time is long enough ago, or there was none.
    Period,
    /// Less is free than should be, in bytes.
    Space {
        /// So much.
        free: u64,
        /// Where so much should be.
        below: u64,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Period => f.write_str("it is time"),
            Self::Space { free, below } => {
                write!(f, "{free} bytes are free where {below} should be")
            }
        }
    }
}

/// Whether a store's garbage is to be collected at `now`, and why.
pub fn due(
    care: &CareConfig,
    last: Option<&Collection>,
    free: Option<u64>,
    now: Timestamp,
) -> Option<Cause> {
    // A time that is yet to come was told by a clock that was wrong.
    let last = last.filter(|last| last.ended_at <= now);
    let is_past = |wait: Duration| {
        last.is_none_or(|last| {
            let ago = Duration::try_from(now.duration_since(last.ended_at));
            ago.is_ok_and(|ago| ago >= wait)
        })
    };
    let below = care.collect_when_free_below;
    if let Some(free) = free.filter(|free| *free < below)
        && is_past(AGAIN_AFTER)
    {
        return Some(Cause::Space { free, below });
    }
    let every = care.collect_every?;
    let every = match last {
        Some(last) if last.result == CollectionResult::Failed => every.min(AGAIN_AFTER),
        _ => every,
    };
    is_past(every).then_some(Cause::Period)
}

/// What a host has to do with its own garbage.
#[derive(Debug, Clone, Copy)]
pub struct HostSituation<'a> {
    /// When its garbage is to be collected.
    pub care: &'a CareConfig,
    /// Whether we change it by ourselves at all.
    pub policy: Policy,
    /// How it is brought to what is wanted.
    pub action: Action,
    /// What was decided about it just now.
    pub decision: &'a Decision,
    /// Whether something of ours has happened to it in this reconciliation, or a person waits for an answer.
    pub is_busy: IsBusy,
    /// Why a person has suspended it.
    pub suspended: Option<&'a str>,
    /// Whether it may be changed now.
    pub openness: &'a Openness,
    /// The last time.
    pub last: Option<&'a Collection>,
    /// How much is free there, in bytes.
    pub free: Option<u64>,
}

/// Whether somebody else has a host now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsBusy {
    /// Nobody has.
    No,
    /// An attempt has ended, a reboot is under way or has failed, or a person waits for an answer.
    Yes,
}

/// Whether a host's garbage is to be collected at `now`, and why.
///
/// Only on a host that is where it should be, in every respect: its boot menu is written anew for what is
/// the boot default already, and that has to be a system of ours.
pub fn due_on_host(situation: &HostSituation<'_>, now: Timestamp) -> Option<Cause> {
    let is_at_rest = situation.policy == Policy::Enforce
        && matches!(situation.action, Action::Switch | Action::Boot)
        && *situation.decision == Decision::UpToDate
        && situation.is_busy == IsBusy::No
        && situation.suspended.is_none()
        && *situation.openness == Openness::Open;
    if !is_at_rest {
        return None;
    }
    due(situation.care, situation.last, situation.free, now)
}

/// What is kept of a host's builds, whatever their age.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// What it runs, what is wanted there, and what has proven itself.
    pub systems: BTreeSet<Toplevel>,
    /// The commit that is wanted there.
    pub revisions: BTreeSet<String>,
}

/// How builds are let go of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRule {
    /// So many of the newest of each host are kept, at least 1.
    pub newest: usize,
    /// What is older goes even so.
    pub keep_for: Duration,
    /// What is kept in any case, by host. A host that is not named has left the fleet.
    pub kept: BTreeMap<String, Kept>,
}

/// The builds that may go at `now`. The newest one of a host of the fleet never may.
pub fn stale<'r>(roots: &'r [BuildRoot], rule: &BuildRule, now: Timestamp) -> Vec<&'r BuildRoot> {
    let mut by_host: BTreeMap<&str, Vec<&BuildRoot>> = BTreeMap::new();
    for root in roots {
        by_host.entry(&root.host).or_default().push(root);
    }
    let mut stale = Vec::new();
    for (host, mut builds) in by_host {
        builds.sort_by_key(|build| std::cmp::Reverse(build.built_at));
        let kept = rule.kept.get(host);
        for (rank, build) in builds.into_iter().enumerate() {
            let is_kept = kept.is_some_and(|kept| {
                rank == 0
                    || kept.revisions.contains(&build.revision)
                    || build
                        .toplevel
                        .as_ref()
                        .is_some_and(|toplevel| kept.systems.contains(toplevel))
            });
            let is_old = Timestamp::try_from(build.built_at)
                .ok()
                .and_then(|built| Duration::try_from(now.duration_since(built)).ok())
                .is_some_and(|age| age > rule.keep_for);
            if !is_kept && (is_old || rank >= rule.newest) {
                stale.push(build);
            }
        }
    }
    stale
}

#[cfg(test)]
mod tests;
