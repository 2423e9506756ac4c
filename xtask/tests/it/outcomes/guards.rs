//! What is looked at before a host is touched: its platform, and whether there is room.

use anyhow::Result;
use serde_json::Value;
use xtask::flake::System;
use xtask::wait::wait_until;

use super::{assert_told, attempts, ends_with, has};
use crate::scene::{SOON, Scene, never_built, places};
use crate::settled::{start, start_with, wait_until_in_sync};

/// A platform that no machine of the test bed is.
const ELSEWHERE: &str = "riscv64-linux";

/// Pushes a system for that platform, and waits until it is refused: its commit, and the host's status.
fn refused_as_foreign(scene: &Scene) -> Result<(String, Value)> {
    let foreign = System {
        platform: ELSEWHERE.to_owned(),
        ..never_built("foreign")?
    };
    let revision = scene
        .repository
        .deploy("main", "Foreign", &[("spare", foreign)])?;
    let status = scene.wait_for_outcome("spare", &revision, "wrong_platform")?;
    Ok((revision, status))
}

#[test]
fn a_system_cross_built_for_another_platform_is_refused_before_it_is_copied_and_not_tried_again()
-> Result<()> {
    let scene = start(&["spare"])?;
    let host = scene.host();
    let before = places(host)?;
    let (revision, status) = refused_as_foreign(&scene)?;
    let own = format!("{}-linux", std::env::consts::ARCH);
    assert_eq!(status["outcome"]["system"], ELSEWHERE);
    assert_eq!(status["outcome"]["host"], own.as_str());
    assert!(status["next_attempt"].is_null(), "{status:#}");
    scene.wait_for_two_looks("spare")?;
    let said = ends_with(&scene.daemon, 3, &["--host", "spare"])?;
    for part in [ELSEWHERE, &own, "nixpkgs.hostPlatform"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(attempts(&scene.daemon, "spare", &revision)?.len(), 1);
    assert_told(&scene, "spare", &revision, "wrong_platform")?;
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    assert!(!has(host, &toplevel)?, "it was copied");
    assert_eq!(places(host)?, before);

    let revision = scene.deploy("main", "2")?;
    wait_until_in_sync(&scene, "spare", &revision)
}

#[test]
fn a_system_that_its_host_built_for_another_platform_is_refused_there() -> Result<()> {
    let scene = start_with(&["spare"], |config| {
        *config.host("spare") += "\nbuild_on = \"target\"";
    })?;
    let before = places(scene.host())?;
    let (revision, status) = refused_as_foreign(&scene)?;
    assert_eq!(status["outcome"]["system"], ELSEWHERE);
    assert!(status["next_attempt"].is_null(), "{status:#}");
    assert_eq!(places(scene.host())?, before);
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    assert!(has(scene.host(), &toplevel)?, "it was built there");
    let log = scene.host().activations()?;
    assert!(log.iter().all(|one| one.toplevel != toplevel), "{log:?}");
    Ok(())
}

#[test]
fn a_system_that_does_not_fit_is_not_copied_and_is_tried_again_until_it_fits() -> Result<()> {
    let mut scene = start(&["spare"])?;
    let before = places(scene.host())?;
    let lines = scene.daemon.config.host("spare").clone();
    *scene.daemon.config.host("spare") += "\nmin_free = \"4000T\"";
    scene.daemon.rewrite_config()?;
    let log = || Ok(scene.daemon.log());
    let is_taken_up = |log: &String| log.contains("the changed config is taken up");
    wait_until("the config to be taken up", SOON, log, is_taken_up)?;
    let system = System {
        megabytes: 2,
        ..never_built("big")?
    };
    let revision = scene
        .repository
        .deploy("main", "Big", &[("spare", system)])?;
    let status = scene.wait_for_outcome("spare", &revision, "no_space")?;
    let figure = |name: &str| status["outcome"][name].as_u64().unwrap_or_default();
    assert_eq!(status["outcome"]["place"], "/nix/store");
    assert!(figure("needed") > 2 * 1024 * 1024, "{status:#}");
    assert!(
        figure("needed") < 4 * 1024 * 1024,
        "only what the host lacks: {status:#}"
    );
    assert!(figure("free") > 0, "{status:#}");
    assert!(!status["next_attempt"].is_null(), "{status:#}");
    assert_told(&scene, "spare", &revision, "no_space")?;
    let said = ends_with(&scene.daemon, 3, &["--host", "spare"])?;
    for part in ["/nix/store", "2.", "MiB", "nix-collect-garbage -d"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    assert!(!has(scene.host(), &toplevel)?, "it was copied");
    assert_eq!(places(scene.host())?, before);

    *scene.daemon.config.host("spare") = lines;
    scene.daemon.rewrite_config()?;
    wait_until_in_sync(&scene, "spare", &revision)
}

#[test]
fn a_kernel_that_does_not_fit_on_boot_is_refused_until_there_is_room() -> Result<()> {
    let scene = start(&["spare"])?;
    let host = scene.host();
    let before = places(host)?;
    // Less than what always stays free there; the reset of the host unmounts it.
    host.console("mount -t tmpfs -o size=64k tmpfs /boot")?;
    let newer = System {
        kernel: "6.99.1".to_owned(),
        ..never_built("kernel")?
    };
    let revision = scene
        .repository
        .deploy("main", "Kernel", &[("spare", newer)])?;
    let status = scene.wait_for_outcome("spare", &revision, "no_space")?;
    assert_eq!(status["outcome"]["place"], "/boot");
    assert!(!status["next_attempt"].is_null(), "{status:#}");
    let said = ends_with(&scene.daemon, 3, &["--host", "spare"])?;
    assert!(
        said.contains("/boot") && said.contains("switch-to-configuration boot"),
        "{said}"
    );
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    let log = host.activations()?;
    assert!(log.iter().all(|one| one.toplevel != toplevel), "{log:?}");
    let now = [host.running_toplevel()?, host.profile_toplevel()?];
    assert_eq!(now, before[..2]);

    // Somebody makes room, and the loop comes back by itself.
    host.console("umount /boot")?;
    wait_until_in_sync(&scene, "spare", &revision)
}
