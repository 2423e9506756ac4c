//! Actions that leave a host as it is.

use anyhow::Result;
use xtask::flake::System;
use xtask::fleet::count_begun;

use super::{assert_told, attempts, ends_with};
use crate::scene::{Scene, places, status_of};
use crate::settled::{start_with, wait_until_in_sync};

/// Whether the controller keeps what it built of a commit for a host.
fn is_kept(scene: &Scene, host: &str, revision: &str) -> bool {
    let roots = scene.daemon.config.state_directory.join("gcroots");
    roots.join(host).join(revision).exists()
}

#[test]
fn a_person_builds_and_rehearses_what_is_pushed_and_the_host_stays_as_it_is() -> Result<()> {
    let mut scene = start_with(&["cyt-pi"], |_| ())?;
    *scene.daemon.config.host("cyt-pi") += "\npolicy = \"observe\"";
    scene.daemon.rewrite_config()?;
    scene.wait_for_status("cyt-pi", "the policy", |status| {
        status["policy"] == "observe"
    })?;
    let host = &scene.hosts[0];
    let before = places(host)?;
    // Nothing of an earlier run on the same host has this name.
    let version = format!("rehearsed-{}", std::process::id());
    let revision = scene.deploy("main", &version)?;
    let toplevel = scene.repository.toplevel("cyt-pi", &revision)?;
    scene.wait_for_status("cyt-pi", "the push", |status| {
        status["desired_toplevel"] == toplevel.as_str()
    })?;
    assert!(!is_kept(&scene, "cyt-pi", &revision));

    let build = ["--host", "cyt-pi", "--action", "build"];
    let said = ends_with(&scene.daemon, 0, &build)?;
    assert!(said.contains("built"), "{said}");
    assert!(is_kept(&scene, "cyt-pi", &revision));
    assert!(
        host.console(&format!("test ! -e {toplevel}")).is_ok(),
        "it was copied"
    );

    // As often as it is asked for, and with what it says.
    for times in 1..=2 {
        let rehearse = ["--host", "cyt-pi", "--action", "dry-activate"];
        let said = ends_with(&scene.daemon, 0, &rehearse)?;
        assert!(
            said.contains("would restart the following units: testbed-marker.service"),
            "{said}"
        );
        assert_eq!(
            count_begun(&host.activations()?, "dry-activate", &toplevel),
            times
        );
    }
    scene.wait_for_two_looks("cyt-pi")?;
    assert_eq!(places(host)?, before);
    assert_eq!(host.marker()?.as_deref(), Some("1"));
    let status = status_of(&scene.daemon, "cyt-pi")?;
    assert!(status["pinned_by"].is_null());
    assert_eq!(
        (&status["action"], &status["drift"]),
        (&"switch".into(), &"drifted".into())
    );
    Ok(())
}

#[test]
fn a_host_whose_action_is_build_or_dry_activate_is_only_built_or_rehearsed_once_a_push()
-> Result<()> {
    let mut scene = start_with(&["spare", "uConsole"], |_| ())?;
    *scene.daemon.config.host("spare") += "\naction = \"build\"";
    *scene.daemon.config.host("uConsole") += "\naction = \"dry-activate\"";
    scene.daemon.rewrite_config()?;
    let before = [places(&scene.hosts[0])?, places(&scene.hosts[1])?];
    let wanted = [("spare", "built"), ("uConsole", "dry_activated")];
    for (host, _) in wanted {
        scene.wait_for_status(host, "its action", |status| status["action"] != "switch")?;
    }
    let revision = scene.deploy("main", "2")?;
    for ((name, outcome), host) in wanted.into_iter().zip(&scene.hosts) {
        scene.wait_for_outcome(name, &revision, outcome)?;
        scene.wait_for_two_looks(name)?;
        assert_told(&scene, name, &revision, outcome)?;
        assert_eq!(attempts(&scene.daemon, name, &revision)?.len(), 1);
        assert!(is_kept(&scene, name, &revision));
        let begun = host.activations()?;
        let toplevel = scene.repository.toplevel(name, &revision)?;
        assert_eq!(count_begun(&begun, "test", &toplevel), 0);
        let rehearsed = usize::from(outcome == "dry_activated");
        assert_eq!(count_begun(&begun, "dry-activate", &toplevel), rehearsed);
    }
    assert_eq!([places(&scene.hosts[0])?, places(&scene.hosts[1])?], before);
    Ok(())
}

#[test]
fn a_host_that_is_off_and_was_to_build_its_system_is_not_to_blame_and_builds_it_when_it_is_back()
-> Result<()> {
    let mut scene = start_with(&["cyt-pi"], |config| {
        config.timeouts = "connect = \"1s\"\nobserve = \"5s\"".to_owned();
    })?;
    *scene.daemon.config.host("cyt-pi") += "\naction = \"build\"\nbuild_on = \"target\"";
    scene.daemon.rewrite_config()?;
    scene.wait_for_status("cyt-pi", "its action", |status| status["action"] == "build")?;
    scene.hosts[0].console("iptables -I INPUT -i eth0 -j DROP")?;
    let revision = scene.deploy("main", "2")?;
    let status = scene.wait_for_outcome("cyt-pi", &revision, "unreachable")?;
    assert!(!status["next_attempt"].is_null(), "{status:#}");
    scene.hosts[0].console("iptables -D INPUT -i eth0 -j DROP")?;
    scene.wait_for_outcome("cyt-pi", &revision, "built")?;
    Ok(())
}

#[test]
fn a_host_whose_action_is_boot_or_test_gets_that_and_no_more() -> Result<()> {
    let mut scene = start_with(&["cyt-pi", "uConsole"], |_| ())?;
    *scene.daemon.config.host("cyt-pi") += "\naction = \"boot\"";
    *scene.daemon.config.host("uConsole") += "\naction = \"test\"";
    scene.daemon.rewrite_config()?;
    for host in ["cyt-pi", "uConsole"] {
        scene.wait_for_status(host, "its action", |status| status["action"] != "switch")?;
    }
    let olds = [
        scene.hosts[0].running_toplevel()?,
        scene.hosts[1].running_toplevel()?,
    ];
    let revision = scene.deploy("main", "2")?;
    let mut news = Vec::new();
    for host in ["cyt-pi", "uConsole"] {
        wait_until_in_sync(&scene, host, &revision)?;
        scene.wait_for_two_looks(host)?;
        news.push(scene.repository.toplevel(host, &revision)?);
        assert_eq!(attempts(&scene.daemon, host, &revision)?.len(), 1);
    }
    // What would only count at the next boot is a change all the same, and held back under `observe`.
    *scene.daemon.config.host("cyt-pi") += "\npolicy = \"observe\"";
    scene.daemon.rewrite_config()?;
    scene.wait_for_status("cyt-pi", "the policy", |status| {
        status["policy"] == "observe"
    })?;
    let systems = [("cyt-pi", System::new("3"))];
    let third = scene.repository.deploy("main", "3", &systems)?;
    scene.wait_for_status("cyt-pi", "the push to be reported", |status| {
        status["desired_revision"] == third.as_str() && status["drift"] == "drifted"
    })?;
    scene.wait_for_two_looks("cyt-pi")?;
    wait_until_in_sync(&scene, "uConsole", &third)?;
    let (boots, tests) = (&scene.hosts[0], &scene.hosts[1]);
    assert_eq!(
        places(boots)?,
        [olds[0].clone(), news[0].clone(), news[0].clone()]
    );
    assert_eq!(
        places(tests)?,
        [news[1].clone(), olds[1].clone(), olds[1].clone()]
    );
    assert_eq!(boots.marker()?.as_deref(), Some("1"));
    assert_eq!(tests.marker()?.as_deref(), Some("2"));
    Ok(())
}
