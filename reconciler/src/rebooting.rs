//! Reboots a host when that is due, watches it come back, and takes up a reboot that an earlier run of
//! ours began.

use std::time::Duration;

use deploy::{Action, Connection, Observation, Outcome, Told, Toplevel};
use desired_state::StoreError;

use crate::api::{Report, Step, Then};
use crate::attempt::{Ended, Work};
use crate::clock;
use crate::decide::{Decision, Why};
use crate::deployment;
use crate::desired::{Desired, Standing};
use crate::evaluations;
use crate::memory::{Jitter, Memory, Target};
use crate::pass::Pass;
use crate::reboot::{
    Others, Progress, Reboot, RebootDecision, RebootHold, RebootSituation, decide_reboot, obstacle,
    progress,
};
use crate::repository::words;
use crate::status;
use crate::window;

/// What led to a deployment that only makes a system the boot default, because only a reboot reaches it.
pub const FOR_A_REBOOT: &str = "reboot";
/// Between two looks at a host that reboots: sshd locks out those who knock faster
/// (`PerSourcePenalties`), and a boot takes longer than this.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);
/// A host whose systemd has refused so often in a row does not mean it otherwise: it also refuses while
/// it is about to begin a reboot that an earlier run of ours asked for.
const REFUSALS: u32 = 4;

/// Reboots the host if a reboot is due, or a person asked for one; `report` then tells how it ended, and
/// the memory why it waits.
///
/// # Errors
/// When the state cannot be read or written.
pub async fn reboot_when_due(
    pass: &Pass,
    desired: &Desired,
    memory: &mut Memory,
    report: &mut Report,
) -> Result<(), StoreError> {
    if desired.standing != Standing::Kept {
        return Ok(());
    }
    let before = memory.clone();
    if let (Some(reboot), Some(wanted)) = (&memory.reboot, &memory.wanted)
        && reboot.toplevel != *wanted
    {
        memory.reboot = None;
    }
    let held = match decision(pass, desired, memory).await? {
        RebootDecision::None => None,
        RebootDecision::Hold(hold) => Some(hold),
        RebootDecision::Reboot { toplevel } => {
            carry_out(pass, desired, &toplevel, memory, report).await?
        }
    };
    if let (Some(hold), Then::Reboot) = (&held, pass.then(memory)) {
        report.decision = Decision::Wait {
            why: Why::RebootHeld { hold: hold.clone() },
        };
        report.outcome = None;
    }
    // How the last one failed is told by itself.
    memory.reboot_waits = held.filter(|hold| !matches!(hold, RebootHold::Failed { .. }));
    if *memory != before {
        pass.remember(memory).await?;
    }
    Ok(())
}

/// Takes up a reboot that was under way when an earlier pass, or an earlier run of ours, ended, and
/// sees it through.
///
/// # Errors
/// When the state cannot be read or written.
pub async fn see_through(pass: &Pass, memory: &mut Memory) -> Result<Option<Outcome>, StoreError> {
    let Some(reboot) = memory.reboot.clone().filter(Reboot::is_under_way) else {
        return Ok(None);
    };
    pass.world
        .tell_step(&pass.host, Step::Rebooting, Some(&reboot.target.revision));
    let (outcome, seen) = watch(pass, &reboot, memory).await;
    if let Outcome::Locked { by } = &outcome {
        // Nothing was done: it is decided anew.
        tracing::info!(host = %pass.host, by, "not rebooted: a switch is running there");
        memory.reboot = None;
        pass.remember(memory).await?;
        return Ok(None);
    }
    memory.aim(&reboot.target);
    memory.wanted = Some(reboot.toplevel.clone());
    memory.reboot = outcome.is_failure().then(|| Reboot {
        failure: Some(outcome.clone()),
        ..reboot.clone()
    });
    if let Outcome::DidNotComeBack { detail, .. } = &outcome {
        memory.unreachable = Some(detail.clone());
    }
    let mut ended = Ended {
        target: reboot.target,
        wanted_since: reboot.wanted_since,
        standing: Standing::Kept,
        work: Work::Reboot,
        toplevel: Some(reboot.toplevel),
        began: reboot.began,
        cause: reboot.cause,
        id: None,
        outcome: outcome.clone(),
        read_back: seen,
        broke_off_on_boot: None,
        output: String::new(),
        connection: None,
        converged_anew: false,
    };
    pass.conclude(memory, &mut ended);
    pass.write_down(memory, memory, &ended).await?;
    Ok(Some(outcome))
}

async fn decision(
    pass: &Pass,
    desired: &Desired,
    memory: &Memory,
) -> Result<RebootDecision, StoreError> {
    let store = &pass.world.store;
    let suspension = store.suspended(&pass.host).await?;
    let config = &pass.config;
    let windows = config.reboot.windows.as_ref().unwrap_or(&config.windows);
    let openness = window::open(windows, &config.freezes, clock::now());
    let situation = RebootSituation {
        action: desired.target.action,
        memory,
        rule: config.reboot.policy,
        policy: config.policy,
        suspended: suspension.as_ref().map(|one| one.why.as_str()),
        openness: &openness,
        others: &Others::default(),
        then: pass.then(memory),
        insistence: pass.asked(),
    };
    let decision = decide_reboot(&situation);
    // The whole fleet is looked through only where it matters.
    if !matches!(decision, RebootDecision::Reboot { .. }) {
        return Ok(decision);
    }
    Ok(decide_reboot(&RebootSituation {
        others: &others(pass, &desired.target).await?,
        ..situation
    }))
}

/// What the other hosts of the fleet are doing.
async fn others(pass: &Pass, target: &Target) -> Result<Others, StoreError> {
    let mut others = Others::default();
    for host in pass
        .setup
        .config
        .hosts
        .keys()
        .filter(|one| **one != pass.host)
    {
        match status::memory(&pass.world.store, host).await?.reboot {
            Some(reboot) if reboot.is_under_way() => others.rebooting = Some(host.clone()),
            Some(reboot)
                if reboot.has_cost_the_host() && reboot.target.revision == target.revision =>
            {
                others.failed.push(host.clone());
            }
            _ => {}
        }
    }
    Ok(others)
}

/// Looks once more, makes the system the boot default where it is not, writes the reboot down, and sees
/// it through. Gives what turned out to hold it up.
async fn carry_out(
    pass: &Pass,
    desired: &Desired,
    toplevel: &Toplevel,
    memory: &mut Memory,
    report: &mut Report,
) -> Result<Option<RebootHold>, StoreError> {
    let Ok(mut seen) = pass.observe().await else {
        // The next look says so.
        return Ok(None);
    };
    if memory.other_machine(&seen.observation).is_some() {
        return Ok(None);
    }
    let is_boot_default = seen.observation.profile.as_ref() == Some(toplevel)
        && memory.half_installed.as_ref() != Some(toplevel);
    if !is_boot_default && matches!(memory.outcome, Some(Outcome::RebootRequired { .. })) {
        let Some(outcome) = make_boot_default(pass, desired, memory).await? else {
            return Ok(None);
        };
        if !outcome.is_in_sync() {
            report.outcome = Some(outcome);
            return Ok(None);
        }
        let Ok(again) = pass.observe().await else {
            return Ok(None);
        };
        seen = again;
    }
    if let Some(hold) = obstacle(toplevel, &seen.observation) {
        return Ok(Some(hold));
    }
    if let Some(hold) = begin(pass, desired, memory, &seen.observation, toplevel).await? {
        return Ok(Some(hold));
    }
    if let Some(outcome) = see_through(pass, memory).await? {
        report.outcome = Some(outcome);
    }
    Ok(None)
}

/// Writes the reboot down, unless something has come up since it was decided on: whoever has written
/// his down first reboots, and is known after a crash.
async fn begin(
    pass: &Pass,
    desired: &Desired,
    memory: &mut Memory,
    seen: &Observation,
    toplevel: &Toplevel,
) -> Result<Option<RebootHold>, StoreError> {
    let _turn = pass.world.reboots.lock().await;
    match decision(pass, desired, memory).await? {
        RebootDecision::Reboot { .. } => {}
        RebootDecision::Hold(hold) => return Ok(Some(hold)),
        RebootDecision::None => return Ok(None),
    }
    let now = clock::now();
    let reasons: Vec<&str> = memory
        .reboot_reasons
        .iter()
        .map(|one| one.label())
        .collect();
    let cause = match &pass.order {
        Some(order) if pass.then(memory) == Then::Reboot => format!("person {}", order.by),
        _ if reasons.is_empty() => "required".into(),
        _ => format!("required: {}", reasons.join(" ")),
    };
    memory.reboot = Some(Reboot {
        target: desired.target.clone(),
        wanted_since: desired.since,
        toplevel: toplevel.clone(),
        boot_id: seen.boot_id.clone(),
        entry: seen.boot_entry(),
        failed_before: seen.failed_units.clone(),
        began: now,
        // The config bounds it, so this only fails at the end of time.
        deadline: now.checked_add(pass.config.reboot.deadline).unwrap_or(now),
        cause: cause.clone(),
        failure: None,
    });
    memory.reboot_waits = None;
    pass.remember(memory).await?;
    tracing::info!(host = %pass.host, cause, entry = %seen.boot_entry(), "rebooting");
    Ok(None)
}

/// Makes a system that only a reboot can bring the boot default, by the supervisor. `None` if it is not
/// evaluated any more, or something newer is wanted.
async fn make_boot_default(
    pass: &Pass,
    desired: &Desired,
    memory: &mut Memory,
) -> Result<Option<Outcome>, StoreError> {
    let (revision, attribute) = (&desired.target.revision, &pass.config.attribute);
    let known = evaluations::known(&pass.world, &pass.repository, revision, attribute).await?;
    let Some(evaluated) = known else {
        return Ok(None);
    };
    let boot = Desired {
        target: Target {
            revision: revision.clone(),
            action: Action::Boot,
        },
        since: desired.since,
        cause: FOR_A_REBOOT.into(),
        standing: Standing::Refuge {
            from: desired.target.clone(),
        },
    };
    let mut ended = deployment::deploy(pass, &boot, memory, &evaluated, None, None).await?;
    if ended.outcome == Outcome::Superseded {
        return Ok(None);
    }
    let mut of_boot = memory.clone();
    of_boot.aim(&boot.target);
    pass.conclude(&mut of_boot, &mut ended);
    // It is only half of the way.
    ended.converged_anew = false;
    memory.take_facts(of_boot.clone());
    if !ended.outcome.is_in_sync() {
        // Not again before its backoff.
        let (backoff, now) = (&pass.config.backoff, clock::now());
        memory.conclude(&ended.outcome, backoff, Jitter::NONE, now);
    }
    pass.write_down(memory, &of_boot, &ended).await?;
    Ok(Some(ended.outcome))
}

/// Tells the host to reboot and waits for it, until it is back or its deadline is over; gives what it
/// says of itself then.
async fn watch(pass: &Pass, reboot: &Reboot, memory: &Memory) -> (Outcome, Option<Observation>) {
    let ignored = &pass.config.proof.ignored_units;
    let mut refusals = 0;
    let mut has_obeyed = false;
    loop {
        let seen = look(pass, memory).await;
        let observed = match &seen {
            Ok((_, observation)) => Ok(observation),
            Err(detail) => Err(detail.as_str()),
        };
        match (progress(reboot, observed, ignored, clock::now()), seen) {
            (Progress::Ended(outcome), seen) => {
                let observation = seen.ok().map(|(_, observation)| observation);
                return (outcome, observation);
            }
            (Progress::Tell, Ok((connection, observation))) => {
                // What is warm now will be cold.
                for destination in &pass.config.destinations {
                    pass.setup.connections.forget(&destination.address);
                }
                match deploy::reboot(&connection, &reboot.boot_id).await {
                    Ok(Told::Reboots | Told::HasRebooted) => has_obeyed = true,
                    Ok(Told::Locked { by }) if !has_obeyed => {
                        return (Outcome::Locked { by }, Some(observation));
                    }
                    Ok(Told::Refused { detail }) if !has_obeyed => {
                        refusals += 1;
                        if refusals == REFUSALS {
                            return (Outcome::DidNotReboot { detail }, Some(observation));
                        }
                    }
                    Ok(Told::Locked { .. } | Told::Refused { .. }) => {}
                    Err(error) => {
                        tracing::debug!(host = %pass.host, error = words(&error), "looking whether it reboots");
                    }
                }
            }
            (Progress::Tell | Progress::Wait, _) => {}
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// What the host says over a new login.
async fn look(pass: &Pass, memory: &Memory) -> Result<(Connection, Observation), String> {
    let timeouts = &pass.config.timeouts;
    let connection = pass
        .setup
        .connections
        .reach_fresh(&pass.config.destinations, timeouts.connect)
        .await
        .map_err(|error| words(&error))?;
    let observation = deploy::observe(&connection, timeouts.observe)
        .await
        .map_err(|error| words(&error))?;
    match memory.other_machine(&observation) {
        Some(expected) => Err(format!(
            "another machine answers: its machine-id is {}, and that of this host was {expected}",
            observation.machine_id
        )),
        None => Ok((connection, observation)),
    }
}
