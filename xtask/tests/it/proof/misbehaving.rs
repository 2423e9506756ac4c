//! Every way for a new system to misbehave ends on the old one.

use anyhow::Result;
use xtask::flake::{Cut, Exit, Hang, Marker, System};

use super::{assert_back, quick};
use crate::scene::{Scene, never_built, places, wait_until_clean};
use crate::settled::{start_with, wait_until_in_sync};

const ALL: [&str; 4] = ["spare", "uConsole", "cyt-pi", "lazyworkhorse"];

/// Gives each host a system of its own, and expects each to go back for its reason; then a good commit deploys.
fn all_go_back(scene: &Scene, systems: [(System, &str); 4]) -> Result<()> {
    let first = scene.running_toplevels()?;
    let bad = scene.deploy_each("Bad", systems.iter().map(|(system, _)| system))?;
    for ((host, first), (_, reason)) in scene.hosts.iter().zip(&first).zip(&systems) {
        assert_back(scene, host, first, &bad, reason)?;
    }
    let good = never_built("good")?;
    let good = scene
        .repository
        .deploy("main", "Good", &ALL.map(|name| (name, good.clone())))?;
    for host in &scene.hosts {
        wait_until_in_sync(scene, &host.name, &good)?;
        let toplevel = scene.repository.toplevel(&host.name, &good)?;
        assert_eq!(places(host)?, [toplevel.as_str(); 3].map(str::to_owned));
        let labels = [("host", host.name.as_str())];
        let quarantined = scene
            .daemon
            .metrics()?
            .value("reconcile_host_quarantined", &labels);
        assert_eq!(quarantined, Some(0.0));
        wait_until_clean(host)?;
    }
    Ok(())
}

#[test]
fn a_system_that_takes_the_way_in_is_rolled_back() -> Result<()> {
    let scene = start_with(&ALL, quick)?;
    let cut = |cut| -> Result<_> {
        let system = System {
            cut: Some(cut),
            ..never_built("cuts")?
        };
        Ok((system, "not_acknowledged"))
    };
    all_go_back(
        &scene,
        [
            cut(Cut::Link)?,
            cut(Cut::Sshd)?,
            cut(Cut::Firewall)?,
            cut(Cut::Keys)?,
        ],
    )
}

#[test]
fn a_system_whose_activation_or_boot_entry_fails_is_rolled_back() -> Result<()> {
    let scene = start_with(&ALL, quick)?;
    let fails = System {
        exit: Exit::ActivationFails,
        ..never_built("exits-2")?
    };
    let fails_a_unit = System {
        marker: Marker::Fails,
        ..never_built("fails-a-unit")?
    };
    let fails_in_boot = System {
        exit: Exit::BootLoaderFails,
        exit_on: "boot".to_owned(),
        ..never_built("fails-in-boot")?
    };
    let panics = System {
        exit: Exit::Panics,
        ..never_built("panics")?
    };
    all_go_back(
        &scene,
        [
            (fails, "failed"),
            (fails_a_unit, "degraded"),
            (fails_in_boot, "failed"),
            (panics, "failed"),
        ],
    )
}

#[test]
#[ignore = "long"]
fn a_system_that_hangs_anywhere_is_rolled_back() -> Result<()> {
    let scene = start_with(&ALL, quick)?;
    let hangs = |hang| -> Result<_> {
        let system = System {
            hang: Some(hang),
            ..never_built("hangs")?
        };
        Ok((system, "timed_out"))
    };
    // A unit that never finishes starting is a child in a session, and a control group, of its own.
    let in_a_unit = System {
        marker: Marker::Hangs,
        ..never_built("hangs-in-a-unit")?
    };
    all_go_back(
        &scene,
        [
            hangs(Hang::Stop)?,
            hangs(Hang::Activate)?,
            hangs(Hang::Start)?,
            (in_a_unit, "timed_out"),
        ],
    )
}

#[test]
#[ignore = "long"]
fn a_system_whose_probe_fails_or_that_loses_its_address_is_rolled_back() -> Result<()> {
    // Stands for a service that is reached from outside; nobody answers any more once this is dropped.
    let service = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = service.local_addr()?;
    let scene = start_with(&ALL, |config| {
        quick(config);
        config.host("lazyworkhorse").push_str(&format!(
            "\n[hosts.lazyworkhorse.proof]\nprobes = [{{ name = \"service\", tcp = \"{address}\", from = \"controller\", attempts = 2, pause = \"1s\" }}]\n"
        ));
        // Fails on systems whose version says so, and is cured by the next.
        let look = "! grep -q probe-fails /run/testbed-marker";
        config.host("spare").push_str(&format!(
            "\n[hosts.spare.proof]\nprobes = [{{ name = \"marker\", command = [\"sh\", \"-c\", \"{look}\"], attempts = 2, pause = \"1s\" }}]\n"
        ));
        config.host("cyt-pi").push_str(
            "\n[hosts.cyt-pi.proof]\nprobes = [{ name = \"nothing-there\", tcp = \"127.0.0.1:9\", attempts = 1, timeout = \"2s\" }]\n\
             on_degraded = \"keep\"\n",
        );
    })?;
    let cut = System {
        cut: Some(Cut::Address),
        ..never_built("loses-its-address")?
    };
    let first = scene.running_toplevels()?;
    let systems = [
        ("spare", never_built("probe-fails")?),
        ("uConsole", cut),
        ("cyt-pi", never_built("kept")?),
        ("lazyworkhorse", never_built("seen-from-outside")?),
    ];
    drop(service);
    let revision = scene.repository.deploy("main", "Second", &systems)?;
    assert_back(&scene, &scene.hosts[0], &first[0], &revision, "probe")?;
    assert_back(
        &scene,
        &scene.hosts[1],
        &first[1],
        &revision,
        "not_acknowledged",
    )?;
    // One that is to be kept is, and says so.
    let status = scene.wait_for_outcome("cyt-pi", &revision, "degraded")?;
    assert_eq!(status["drift"], "in_sync", "{status:#}");
    assert_back(&scene, &scene.hosts[3], &first[3], &revision, "probe")
}
