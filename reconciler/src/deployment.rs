//! One deployment up to the activation: build and copy.

use std::error::Error;
use std::sync::Arc;

use deploy::{
    BuildError, BuildOn, BuildRequest, Connection, CopyError, Evaluated, Observation, Outcome,
    Toplevel, Transience,
};
use desired_state::StoreError;
use tokio::sync::OwnedRwLockReadGuard;
use tokio::time::Instant;

use crate::activation::{Ready, activate};
use crate::api::Step;
use crate::attempt::Ended;
use crate::clock;
use crate::desired::Desired;
use crate::evaluations;
use crate::memory::Memory;
use crate::metrics::Phase;
use crate::pass::{Pass, Seen, evaluation_failed};
use crate::repository::words;
use crate::supersede::{is_superseded, unless_superseded};

/// Brings `evaluated` to the pass's host, the machine that `memory` knows; `in_use` has kept it from being collected until now.
///
/// # Errors
/// Only when the state cannot be read or written; all else is an [`Outcome`].
pub async fn deploy(
    pass: &Pass,
    desired: &Desired,
    memory: &Memory,
    evaluated: &Evaluated,
    seen: Option<Seen>,
    in_use: Option<OwnedRwLockReadGuard<()>>,
) -> Result<Ended, StoreError> {
    let began = clock::now();
    Ok(
        match prepare(pass, desired, memory, evaluated, seen, in_use).await? {
            Ok(ready) => activate(pass, desired, ready).await?,
            Err(outcome) => {
                let toplevel = Some(evaluated.toplevel.clone());
                Ended {
                    began,
                    ..Ended::before_activation(desired, toplevel, outcome)
                }
            }
        },
    )
}

/// Builds and copies. `Err` is how it ended before the host was changed.
async fn prepare(
    pass: &Pass,
    desired: &Desired,
    memory: &Memory,
    evaluated: &Evaluated,
    seen: Option<Seen>,
    in_use: Option<OwnedRwLockReadGuard<()>>,
) -> Result<Result<Ready, Outcome>, StoreError> {
    let work = async {
        let _in_use = match in_use {
            Some(in_use) => in_use,
            None => Arc::clone(&pass.world.nix_store).read_owned().await,
        };
        // Who builds on the host has to reach it first, and one that is off says nothing about the build.
        let seen = match seen {
            None if pass.config.build_on == BuildOn::Target => Some(look(pass, memory).await?),
            seen => seen,
        };
        let toplevel = build(pass, desired, evaluated, seen.as_ref()).await?;
        if !desired.target.action.touches_host() {
            return Err(Outcome::Built);
        }
        // A build can take hours, and the connection may have gone cold since.
        let seen = match seen {
            Some(seen) if seen.is_fresh() => seen,
            _ => look(pass, memory).await?,
        };
        check_platform(&toplevel, &seen.observation).await?;
        copy(pass, desired, &toplevel, &seen.connection).await?;
        Ok((toplevel, seen))
    };
    let Some(prepared) = unless_superseded(pass, desired, work).await? else {
        return Ok(Err(Outcome::Superseded));
    };
    let (toplevel, seen) = match prepared {
        Ok(prepared) => prepared,
        Err(outcome) => return Ok(Err(outcome)),
    };
    if is_superseded(pass, desired).await? {
        return Ok(Err(Outcome::Superseded));
    }
    Ok(Ok(Ready {
        toplevel,
        connection: seen.connection,
        observation: seen.observation,
    }))
}

/// Asks the host anew what it runs, and whether it still is the machine that was met under its name.
async fn look(pass: &Pass, memory: &Memory) -> Result<Seen, Outcome> {
    let seen = pass
        .observe()
        .await
        .map_err(|unseen| Outcome::Unreachable { detail: unseen.0 })?;
    match memory.other_machine(&seen.observation) {
        None => Ok(seen),
        // The next look says which.
        Some(_) => Err(Outcome::ObservedChanged {
            running: "another machine answers under its name".into(),
        }),
    }
}

async fn build(
    pass: &Pass,
    desired: &Desired,
    evaluated: &Evaluated,
    seen: Option<&Seen>,
) -> Result<Toplevel, Outcome> {
    // What builds on the host itself costs nothing here. The semaphores are never closed.
    let _permit = match pass.config.build_on {
        BuildOn::Target => None,
        BuildOn::Here | BuildOn::Builder(_) => Some(pass.setup.builds.acquire().await),
    };
    let revision = &desired.target.revision;
    pass.world
        .tell_step(&pass.host, Step::Building, Some(revision));
    let began = Instant::now();
    let target = seen.map(|seen| &seen.connection);
    let mut built = pass
        .repository
        .nix
        .build(&build_request(pass, desired, evaluated), target)
        .await;
    // A garbage collection can have taken what was evaluated before.
    if built.as_ref().is_err_and(BuildError::needs_evaluation) {
        let again = evaluate_again(pass, desired).await?;
        built = pass
            .repository
            .nix
            .build(&build_request(pass, desired, &again), target)
            .await;
    }
    pass.world.metrics.phase_took(Phase::Build, began.elapsed());
    built.map_err(|error: BuildError| Outcome::BuildFailed {
        detail: words(&error as &dyn Error),
        transience: Transience::when_retrying_is(error.is_worth_retrying()),
    })
}

fn build_request(pass: &Pass, desired: &Desired, evaluated: &Evaluated) -> BuildRequest {
    BuildRequest {
        host: pass.host.to_string(),
        revision: desired.target.revision.to_string(),
        evaluated: evaluated.clone(),
        on: pass.config.build_on.clone(),
        timeout: pass.config.timeouts.build,
    }
}

async fn evaluate_again(pass: &Pass, desired: &Desired) -> Result<Evaluated, Outcome> {
    let wanted = evaluations::Wanted {
        revision: desired.target.revision.clone(),
        attribute: pass.config.attribute.clone(),
        together: vec![pass.config.attribute.clone()],
        timeout: pass.config.timeouts.evaluate,
    };
    evaluations::evaluate(&pass.world, &pass.setup, &pass.repository, wanted)
        .await
        .map_err(|error| evaluation_failed(&error))
}

/// Refuses a system for another platform before it is copied, where it was built here. The supervisor
/// looks again, at those that were built on their host too.
async fn check_platform(toplevel: &Toplevel, observation: &Observation) -> Result<(), Outcome> {
    let Some(platform) = deploy::platform_of(toplevel).await else {
        return Ok(());
    };
    match observation.is_foreign(&platform) {
        None => Ok(()),
        Some(host) => Err(Outcome::WrongPlatform {
            host: host.to_owned(),
            system: platform,
        }),
    }
}

async fn copy(
    pass: &Pass,
    desired: &Desired,
    toplevel: &Toplevel,
    connection: &Connection,
) -> Result<(), Outcome> {
    if pass.config.build_on == BuildOn::Target {
        return Ok(());
    }
    let _permit = pass.setup.copies.acquire().await;
    pass.world
        .tell_step(&pass.host, Step::Copying, Some(&desired.target.revision));
    let began = Instant::now();
    let timeout = pass.config.timeouts.copy;
    let copied = pass
        .repository
        .nix
        .copy(toplevel, connection, pass.config.min_free, timeout)
        .await;
    pass.world.metrics.phase_took(Phase::Copy, began.elapsed());
    copied.map_err(|error: CopyError| match error {
        CopyError::NoSpace {
            needed,
            free,
            reserve,
        } => Outcome::NoSpace {
            place: "/nix/store".to_owned(),
            needed,
            free,
            reserve,
        },
        error => Outcome::CopyFailed {
            detail: words(&error as &dyn Error),
            transience: Transience::when_retrying_is(error.is_worth_retrying()),
        },
    })
}
