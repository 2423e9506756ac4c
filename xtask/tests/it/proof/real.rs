//! What a real switch does on a real host: its exit codes say one thing and the host another.

use anyhow::Result;
use xtask::flake::{App, Exit, Marker, System};

use super::{assert_back, outcomes, quick};
use crate::scene::{never_built, places, status_of, wait_until_clean};
use crate::settled::{start, start_with, wait_until_in_sync};

const ALL: [&str; 4] = ["spare", "uConsole", "cyt-pi", "lazyworkhorse"];

#[test]
fn a_half_switch_a_crash_loop_and_a_hidden_script_failure_are_rolled_back() -> Result<()> {
    let scene = start_with(&ALL, quick)?;
    let first = scene.running_toplevels()?;
    let half = System {
        exit: Exit::LosesLogind,
        ..never_built("loses-logind")?
    };
    let crashes = System {
        app: Some(App::Crashes),
        ..never_built("crash-loop")?
    };
    let hidden = System {
        exit: Exit::ActivationFails,
        app: Some(App::Crashes),
        ..never_built("hidden")?
    };
    // More often than it is begun again.
    let always = System {
        user_gone_times: 3,
        ..never_built("users-gone")?
    };
    let bad = scene.deploy_each("Bad", [&half, &crashes, &hidden, &always])?;
    let reasons = ["failed", "degraded", "failed", "failed"];
    for ((host, first), reason) in scene.hosts.iter().zip(&first).zip(reasons) {
        assert_back(&scene, host, first, &bad, reason)?;
        let failed = host.console(
            "systemctl --failed --no-legend; systemctl is-active testbed-marker.service",
        )?;
        assert_eq!(failed.trim(), "active", "{}", host.name);
    }
    Ok(())
}

#[test]
fn a_service_that_dies_some_seconds_after_its_start_is_not_committed_by_default() -> Result<()> {
    let scene = start_with(&["cyt-pi"], |config| {
        quick(config);
        // The product's own default.
        config.settle_seconds = 10;
    })?;
    let first = scene.host().running_toplevel()?;
    let dies = System {
        app: Some(App::Dies),
        ..never_built("dies-late")?
    };
    let bad = scene.deploy_each("Dies", [&dies])?;
    assert_back(&scene, scene.host(), &first, &bad, "degraded")
}

#[test]
fn a_good_system_survives_users_that_log_out_meanwhile_and_old_failures() -> Result<()> {
    let scene = start(&["spare", "uConsole", "cyt-pi"])?;
    // Sixty units have failed already on one of them.
    scene.hosts[2].console(
        "for n in $(seq 60); do systemd-run --quiet --unit=old-$n /bin/false; done 2>/dev/null; true",
    )?;
    let log_out = System {
        user_gone_times: 2,
        ..never_built("users-log-out")?
    };
    let user_fails = System {
        exit: Exit::UserFails,
        ..never_built("a-users-own")?
    };
    let plain = never_built("plain")?;
    let good = scene.deploy_each("Good", [&log_out, &user_fails, &plain])?;
    for host in &scene.hosts {
        let name = host.name.as_str();
        wait_until_in_sync(&scene, name, &good)?;
        assert_eq!(outcomes(&scene, name, &good)?, ["converged"], "{name}");
        let toplevel = scene.repository.toplevel(name, &good)?;
        assert_eq!(places(host)?, [toplevel.as_str(); 3].map(str::to_owned));
        wait_until_clean(host)?;
    }
    let status = status_of(&scene.daemon, "uConsole")?;
    assert_eq!(status["failed_units"].as_array().map(Vec::len), Some(0));
    // A bad one is still seen beside all that failed before.
    let fails = System {
        marker: Marker::Fails,
        ..never_built("fails")?
    };
    let first = scene.hosts[2].running_toplevel()?;
    let bad = scene
        .repository
        .deploy("main", "Bad", &[("cyt-pi", fails)])?;
    assert_back(&scene, &scene.hosts[2], &first, &bad, "degraded")
}
