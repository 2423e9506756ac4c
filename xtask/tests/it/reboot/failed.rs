//! Reboots that go wrong.

use anyhow::Result;

use super::{another_kernel, assert_not_rebooted, choose_at_boot, ends, rule, when_required};
use crate::scene::{says, status_of};
use crate::settled::{start_with, wait_until_in_sync};

#[test]
fn a_host_that_boots_another_system_is_said_with_both_and_not_rebooted_again() -> Result<()> {
    let mut scene = start_with(&["spare"], |config| rule(config, "never", "120s"))?;
    let first = scene.host().running_toplevel()?;
    let systems = [("spare", another_kernel("2"))];
    let revision = scene.repository.deploy("main", "Kernel", &systems)?;
    let toplevel = scene.repository.toplevel("spare", &revision)?;
    wait_until_in_sync(&scene, "spare", &revision)?;
    choose_at_boot(scene.host(), &first)?;
    when_required(&mut scene.daemon.config);
    scene.daemon.rewrite_config()?;
    let status = scene.wait_for_outcome("spare", &revision, "booted_another")?;
    assert_eq!(status["outcome"]["booted"], *first, "{status:#}");
    assert_eq!(status["outcome"]["wanted"], *toplevel, "{status:#}");
    assert_eq!(scene.host().booted_toplevel()?, first);
    let after = scene.host().boot_id()?;
    assert_not_rebooted(&scene, scene.host(), &after)?;
    // Nor is it brought elsewhere live: it is left as it came back.
    assert_eq!(scene.host().running_toplevel()?, first);
    assert_eq!(ends(&scene, "spare")?, ["booted_another"]);
    let labels = [("host", "spare")];
    let metrics = scene.daemon.metrics()?;
    let failed = metrics.value("reconcile_host_reboot_failed", &labels);
    assert_eq!(failed, Some(1.0));
    assert!(says(&scene.daemon, &["status"])?.contains("on another system"));
    // Until another system is wanted there.
    let systems = [("spare", another_kernel("3"))];
    let revision = scene.repository.deploy("main", "Again", &systems)?;
    scene.wait_for_outcome("spare", &revision, "rebooted")?;
    assert_eq!(ends(&scene, "spare")?, ["booted_another", "rebooted"]);
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_host_that_does_not_come_back_is_said_with_its_boot_entry_and_not_rebooted_when_it_does()
-> Result<()> {
    let names = ["spare", "uConsole"];
    let scene = start_with(&names, |config| rule(config, "when-required", "20s"))?;
    let (spare, other) = (&scene.hosts[0], &scene.hosts[1]);
    let firsts = [spare.running_toplevel()?, other.running_toplevel()?];
    for host in &scene.hosts {
        host.stays_off()?;
    }
    let systems = names.map(|name| (name, another_kernel("2")));
    let revision = scene.repository.deploy("main", "Kernel", &systems)?;
    let is_gone = |name: &str| -> Result<bool> {
        Ok(status_of(&scene.daemon, name)?["reboot"]["failure"].is_object())
    };
    scene.wait_for_status("spare", "a reboot that failed", |_| {
        names.iter().any(|name| is_gone(name).unwrap_or(false))
    })?;
    let (lost, kept, first) = if is_gone("spare")? {
        (spare, other, &firsts[0])
    } else {
        (other, spare, &firsts[1])
    };
    let toplevel = scene.repository.toplevel(&lost.name, &revision)?;
    let status = scene.wait_for_outcome(&lost.name, &revision, "did_not_come_back")?;
    let entry = &status["outcome"]["entry"];
    assert_eq!(entry["toplevel"], *toplevel, "{status:#}");
    assert!(entry["generation"].as_u64() > Some(1), "{status:#}");
    assert!(!lost.is_on()?);
    let said = says(&scene.daemon, &["status"])?;
    assert!(
        said.contains("did not come back") && said.contains(&toplevel),
        "{said}"
    );
    assert!(
        scene
            .daemon
            .log()
            .contains("did not come back from its reboot")
    );
    // What took one host away does not take the next.
    wait_until_in_sync(&scene, &kept.name, &revision)?;
    scene.wait_for_status(&kept.name, "the other host to be spared", |status| {
        status["reboot_waits"]["held"] == "others_failed"
    })?;
    assert!(kept.is_on()?);

    // It comes back on what somebody chose at its console.
    choose_at_boot(lost, first)?;
    for host in &scene.hosts {
        host.lets_boot()?;
    }
    scene.wait_for_status(&lost.name, "the host to be back", |status| {
        status["unreachable"].is_null() && status["running_toplevel"] == *first
    })?;
    let after = lost.boot_id()?;
    assert_not_rebooted(&scene, lost, &after)?;
    assert_eq!(lost.running_toplevel()?, *first);
    assert_eq!(ends(&scene, &lost.name)?, ["did_not_come_back"]);
    // A person says so.
    let forced = scene.daemon.cli(&["--host", &lost.name, "--force"])?;
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
    // The other host may be the first to reboot: what held it up is gone too.
    for host in [lost, kept] {
        scene.wait_for_outcome(&host.name, &revision, "rebooted")?;
    }
    assert_eq!(lost.booted_toplevel()?, toplevel);
    Ok(())
}
