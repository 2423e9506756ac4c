//! Power cuts: they show the order of the steps. What boots was proven, or its commit had begun.

use anyhow::Result;
use xtask::flake::{Exit, Hang, System};
use xtask::fleet::{Host, count_begun};
use xtask::wait::wait_until;

use super::{assert_told_truly, outcomes, quick, wait_for_awaiting};
use crate::scene::{SOON, Scene, never_built, places, wait_for_activation, wait_until_clean};
use crate::settled::{start_with, wait_until_in_sync};

/// Where the power is cut, and whether the old or the new system may run after that.
struct Cut {
    hang: Option<Hang>,
    may_be_old: bool,
    may_be_new: bool,
}

fn wait_for_hang(host: &Host, hang: Hang) -> Result<()> {
    let word = format!("{hang:?}").to_lowercase();
    let look = || host.console("cat /var/log/testbed-activations");
    let hangs = |log: &String| log.contains(&format!("hang {word}"));
    if hang == Hang::Activate {
        // The activation script notes nothing.
        let look = || host.console("pgrep -f '^sleep infinity' || true");
        wait_until("a hang", SOON, look, |pids| !pids.is_empty())?;
    } else {
        wait_until("a hang", SOON, look, hangs)?;
    }
    Ok(())
}

fn cut_and_boot(scene: &mut Scene, name: &str, cut: &Cut) -> Result<()> {
    let old = scene.host().running_toplevel()?;
    let system = System {
        hang: cut.hang,
        seconds: 2,
        ..never_built("power")?
    };
    let revision = scene.repository.deploy("main", "Cut", &[(name, system)])?;
    let new = scene.repository.toplevel(name, &revision)?;
    match cut.hang {
        Some(hang) => {
            wait_for_hang(scene.host(), hang)?;
            scene.daemon.kill()?;
        }
        None if cut.may_be_old => {
            wait_for_activation(scene.host(), &new)?;
            scene.daemon.kill()?;
            wait_for_awaiting(scene.host())?;
        }
        None => {
            wait_until_in_sync(scene, name, &revision)?;
            scene.daemon.kill()?;
        }
    }
    scene.host().power_cut()?;
    scene.host().power_on()?;
    let booted = scene.host().booted_toplevel()?;
    let allowed = (cut.may_be_old && booted == old) || (cut.may_be_new && booted == new);
    assert!(allowed, "{:?}: {booted} of {old} and {new}", cut.hang);
    assert_eq!(scene.host().running_toplevel()?, booted);
    // A commit that works, so that nothing hangs again.
    let good = never_built("good")?;
    let good = scene.repository.deploy("main", "Good", &[(name, good)])?;
    scene.daemon.start()?;
    wait_until_in_sync(scene, name, &good)?;
    // A system that takes its host down gets a backoff, and what had been proven is told as that.
    let told = if booted == new {
        "converged"
    } else {
        "activation_interrupted"
    };
    assert_eq!(outcomes(scene, name, &revision)?, [told], "{:?}", cut.hang);
    assert_told_truly(scene, scene.host())
}

#[test]
#[ignore = "long"]
fn a_host_that_cannot_go_back_either_reboots_into_the_old_system_where_that_is_wanted() -> Result<()>
{
    let scene = start_with(&["spare"], |config| {
        quick(config);
        config.proof.push_str("\non_rollback_failed = \"reboot\"");
    })?;
    let host = scene.host();
    let old = host.running_toplevel()?;
    let boot_id = host.console("cat /proc/sys/kernel/random/boot_id")?;
    // The old system cannot be activated any more; a boot forgets this.
    host.console(&format!(
        "mount --bind /bin/false {old}/bin/switch-to-configuration"
    ))?;
    let bad = System {
        exit: Exit::ActivationFails,
        ..never_built("no-way-back")?
    };
    let bad = scene.repository.deploy("main", "Bad", &[("spare", bad)])?;
    let status = scene.wait_for_outcome("spare", &bad, "rollback_failed")?;
    assert!(status["next_attempt"].is_null(), "{status:#}");
    host.wait_for_login()?;
    assert_ne!(
        host.console("cat /proc/sys/kernel/random/boot_id")?,
        boot_id
    );
    assert_eq!(places(host)?, [old.as_str(); 3].map(str::to_owned));
    assert_told_truly(&scene, host)?;
    assert_eq!(outcomes(&scene, "spare", &bad)?, ["rollback_failed"]);
    wait_until_clean(host)?;
    let good = never_built("good")?;
    let good = scene
        .repository
        .deploy("main", "Good", &[("spare", good)])?;
    wait_until_in_sync(&scene, "spare", &good)
}

#[test]
#[ignore = "long"]
fn a_power_cut_before_the_commit_boots_the_old_system() -> Result<()> {
    let mut scene = start_with(&["spare"], quick)?;
    for hang in [Some(Hang::Stop), Some(Hang::Start), None] {
        let cut = Cut {
            hang,
            may_be_old: true,
            may_be_new: false,
        };
        cut_and_boot(&mut scene, "spare", &cut)?;
    }
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_power_cut_in_the_commit_boots_either_and_one_after_it_the_new_one() -> Result<()> {
    let mut scene = start_with(&["uConsole"], quick)?;
    let during = Cut {
        hang: Some(Hang::Boot),
        may_be_old: true,
        may_be_new: true,
    };
    cut_and_boot(&mut scene, "uConsole", &during)?;
    let after = Cut {
        hang: None,
        may_be_old: false,
        may_be_new: true,
    };
    cut_and_boot(&mut scene, "uConsole", &after)
}

#[test]
#[ignore = "long"]
fn a_power_cut_before_the_boot_entry_is_written_is_no_success_and_boot_is_done_again() -> Result<()>
{
    let mut scene = start_with(&["spare"], quick)?;
    *scene.daemon.config.host("spare") += "\naction = \"boot\"";
    scene.daemon.rewrite_config()?;
    scene.wait_for_status("spare", "its action", |status| status["action"] == "boot")?;
    let host = scene.host();
    let old = host.running_toplevel()?;
    let system = System {
        hang: Some(Hang::Check),
        ..never_built("cut")?
    };
    let revision = scene
        .repository
        .deploy("main", "Cut", &[("spare", system)])?;
    let new = scene.repository.toplevel("spare", &revision)?;
    let wait_for_boot = |times: usize| {
        let log = || host.activations();
        let begun = |log: &Vec<_>| count_begun(log, "boot", &new) == times;
        wait_until("the boot default to be made", SOON, log, begun).map(drop)
    };
    wait_for_boot(1)?;
    assert_eq!(host.profile_toplevel()?, new);
    host.power_cut()?;
    host.power_on()?;
    assert_eq!(host.booted_toplevel()?, old);

    wait_for_boot(2)?;
    // It hangs no longer.
    host.console("kill -KILL $(pgrep --exact --full 'sleep infinity')")?;
    wait_until_in_sync(&scene, "spare", &revision)?;
    assert_eq!(host.boot_default()?, new);
    assert_eq!(
        outcomes(&scene, "spare", &revision)?,
        ["activation_interrupted", "converged"]
    );
    Ok(())
}
