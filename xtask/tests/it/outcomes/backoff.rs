//! Activations that fail are tried again, later each time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::daemon::Daemon;
use xtask::flake::{Exit, System};
use xtask::wait::wait_until;

use super::{assert_told, attempts, ends_with, gauge};
use crate::scene::{SOON, Scene, history, looks, status_of, wait_for_looks};
use crate::settled::{INTERVAL, start_with, wait_until_in_sync};

/// The tests' backoff: 1 s, 3 s, 9 s, 27 s.
const FIRST: f64 = 1.0;
const FACTOR: f64 = 3.0;

/// So many looks at a host tell an interval from a loop without a pause.
const LOOKS: f64 = 5.0;

/// From the time an attempt is due to its start: a look at the host, on a machine that runs everything else too.
const SLACK: f64 = 4.0;

fn steady(config: &mut xtask::daemon::Config) {
    config.backoff =
        format!("first = \"{FIRST}s\"\nfactor = {FACTOR:?}\nmax = \"1h\"\njitter = 0.0");
}

fn seconds(value: &Value) -> Result<f64> {
    let time = value.as_str().context("no time")?;
    Ok(time.parse::<jiff::Timestamp>()?.as_millisecond() as f64 / 1000.0)
}

/// Waits until a host has been tried so often for a commit.
fn wait_for_attempts(scene: &Scene, host: &str, revision: &str, count: u64) -> Result<Vec<Value>> {
    scene.wait_for_status(host, &format!("{count} attempts"), |status| {
        status["consecutive_failures"] == count
    })?;
    attempts(&scene.daemon, host, revision)
}

/// Asserts that each attempt began when the backoff after the one before it had passed, and not much later.
fn assert_backed_off(attempts: &[Value]) -> Result<()> {
    let mut backoff = FIRST;
    for pair in attempts.windows(2) {
        let waited = seconds(&pair[1]["started_at"])? - seconds(&pair[0]["at"])?;
        assert!(
            waited >= backoff - 0.05,
            "{waited} s instead of {backoff} s"
        );
        assert!(
            waited <= backoff + SLACK,
            "{waited} s instead of {backoff} s"
        );
        backoff *= FACTOR;
    }
    Ok(())
}

fn next_attempt(daemon: &Daemon, host: &str) -> Result<f64> {
    seconds(&status_of(daemon, host)?["next_attempt"])
}

#[test]
fn failed_activations_are_tried_again_with_a_backoff_that_only_news_or_a_person_ends() -> Result<()>
{
    let mut scene = start_with(&["spare", "uConsole", "cyt-pi"], steady)?;
    let failing = System {
        exit: Exit::BusIsGone,
        ..System::new("2")
    };
    let first = scene.hosts[1].running_toplevel()?;
    let systems = [
        ("spare", failing.clone()),
        ("uConsole", failing),
        ("cyt-pi", System::new("2")),
    ];
    let revision = scene.repository.deploy("main", "Two fail", &systems)?;
    wait_until_in_sync(&scene, "cyt-pi", &revision)?;
    for host in ["spare", "uConsole"] {
        let attempts = wait_for_attempts(&scene, host, &revision, 3)?;
        assert_backed_off(&attempts)?;
        assert_told(&scene, host, &revision, "activation_refused")?;
        assert_eq!(
            gauge(&scene.daemon, "consecutive_failures", host)? as u64,
            3
        );
        assert_eq!(gauge(&scene.daemon, "drifted", host)? as u64, 1);
    }
    let refusing = &scene.hosts[1];
    assert_eq!(refusing.running_toplevel()?, first);
    assert_eq!(refusing.profile_toplevel()?, first);

    // Now 9 s: a restart, a repeated delivery and a look at the host shorten nothing.
    let due = next_attempt(&scene.daemon, "spare")?;
    scene.daemon.kill()?;
    scene.daemon.start()?;
    let before = looks(&scene.daemon)?;
    let push = scene.last_push()?;
    assert!(scene.repository.redeliver(&push)?.is_success());
    wait_for_looks(&scene.daemon, before, 1.0)?;
    assert!((next_attempt(&scene.daemon, "spare")? - due).abs() < 0.01);
    let attempts = wait_for_attempts(&scene, "spare", &revision, 4)?;
    assert_backed_off(&attempts)?;

    // Now 27 s: a person does not wait for that, and a good commit ends it.
    let said = ends_with(&scene.daemon, 3, &["--host", "spare"])?;
    assert!(said.contains("activation"), "{said}");
    let attempts = wait_for_attempts(&scene, "spare", &revision, 5)?;
    assert!(seconds(&attempts[4]["started_at"])? - seconds(&attempts[3]["at"])? < 27.0);
    let good = scene.deploy("main", "3")?;
    for host in ["spare", "uConsole"] {
        wait_until_in_sync(&scene, host, &good)?;
        assert_eq!(status_of(&scene.daemon, host)?["consecutive_failures"], 0);
    }
    Ok(())
}

#[test]
fn a_host_whose_next_attempt_is_due_while_it_is_suspended_is_looked_at_once_an_interval()
-> Result<()> {
    let scene = start_with(&["spare"], steady)?;
    let failing = System {
        exit: Exit::BusIsGone,
        ..System::new("2")
    };
    let revision = scene
        .repository
        .deploy("main", "Fails", &[("spare", failing)])?;
    scene.wait_for_outcome("spare", &revision, "activation_refused")?;
    let why = ["suspend", "--host", "spare", "--why", "being repaired"];
    ends_with(&scene.daemon, 0, &why)?;
    let count = history(&scene.daemon, "spare", "deployment")?.len();
    scene.wait_for_status("spare", "the next attempt to be due", |status| {
        seconds(&status["next_attempt"]).is_ok_and(|due| due < now())
    })?;
    let observed = || -> Result<f64> {
        let observe = [("phase", "observe")];
        Ok(scene
            .daemon
            .metrics()?
            .sum("reconcile_phase_duration_seconds_count", &observe))
    };
    let (before, began) = (observed()?, Instant::now());
    let looked = |now: &f64| *now >= before + LOOKS;
    wait_until("looks at the host", SOON, observed, looked)?;
    let took = began.elapsed();
    // The first may come at once; of the others, each after an interval.
    assert!(
        took > INTERVAL.mul_f64(LOOKS - 1.5),
        "{LOOKS} looks in {took:?}"
    );
    assert_eq!(history(&scene.daemon, "spare", "deployment")?.len(), count);
    Ok(())
}

fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs_f64()
}
