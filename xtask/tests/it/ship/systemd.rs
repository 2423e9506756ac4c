//! The unit for other Linux, on a real systemd.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xtask::fleet::Fleet;
use xtask::process::said;
use xtask::wait::wait_until;
use xtask::workspace::{binary, root};

use super::controller::{Controller, SOON, first_system};

/// A watchdog as short as a test wants it, and as long as a busy machine needs it.
const WATCHDOG: Duration = Duration::from_secs(10);

#[test]
#[ignore = "long"]
fn the_hardened_unit_is_active_once_it_is_ready_and_deploys_a_host() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["spare", "cyt-pi"])?;
    let (spare, target) = (&hosts[0], &hosts[1]);
    let controller = Controller::of(spare);
    controller.install(&binary("reconcile")?)?;
    let (_forge, repository, toplevel) = first_system(target, "by-unit")?;
    controller.configure(&fleet, &repository, target)?;

    controller.start()?;
    assert_eq!(controller.page("/healthz")?.status, 200);
    assert_eq!(controller.property("ActiveState")?, "active");
    assert_eq!(
        controller.property("StatusText")?,
        "looking after 1 host of 1 repository"
    );
    let pid = controller.property("MainPID")?;
    let user = spare.console(&format!("ps -o user= -p {pid}"))?;
    assert_eq!(user.trim(), "reconcile");
    controller.wait_until_deployed(target, &toplevel)?;

    spare.console("systemctl stop reconcile.service")?;
    assert_eq!(
        controller.property("Result")?,
        "success",
        "{}",
        controller.journal()
    );
    assert_eq!(controller.property("ActiveState")?, "inactive");
    Ok(())
}

#[test]
#[ignore = "long"]
fn root_is_kept_from_writing_what_the_units_user_could_not_use() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["spare", "cyt-pi"])?;
    let (spare, target) = (&hosts[0], &hosts[1]);
    let controller = Controller::of(spare);
    controller.install(&binary("reconcile")?)?;
    let (_forge, repository, toplevel) = first_system(target, "by-its-user")?;
    controller.configure(&fleet, &repository, target)?;

    // As on the day when the state was lost, before the daemon is there again.
    let suspend = "reconcile suspend --all --why 'the state was lost'";
    let refused = spare.try_console(suspend)?;
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    let mend = "runuser -u reconcile -- reconcile";
    assert!(said(&refused).contains(mend), "{}", said(&refused));
    let checked = spare.try_console("reconcile check")?;
    assert!(checked.status.success(), "{}", said(&checked));
    assert!(said(&checked).contains(mend), "{}", said(&checked));
    let roots = spare.console("find /var/lib/reconcile -user root")?;
    assert_eq!(roots, "");

    for good in [
        "check",
        "plan --all",
        "suspend --all --why 'the state was lost'",
    ] {
        spare.console(&format!("runuser -u reconcile -- reconcile {good}"))?;
    }
    controller.start()?;
    // Through the daemon root may all.
    spare.console("reconcile resume --all --why 'looked at'")?;
    controller.wait_until_deployed(target, &toplevel)
}

#[test]
#[ignore = "long"]
fn the_unit_does_not_start_where_it_cannot_listen_and_not_again_where_the_config_is_wrong()
-> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["spare", "cyt-pi"])?;
    let (spare, target) = (&hosts[0], &hosts[1]);
    let controller = Controller::of(spare);
    controller.install(&binary("reconcile")?)?;
    let (_forge, repository, _) = first_system(target, "never")?;
    controller.configure(&fleet, &repository, target)?;
    let config = "/etc/reconcile/reconcile.toml";
    spare.console(&format!("sed -i 's/0.0.0.0:9080/192.0.2.1:9080/' {config}"))?;
    assert!(controller.start().is_err());
    let journal = controller.journal();
    assert!(
        journal.contains("cannot listen on 192.0.2.1:9080"),
        "{journal}"
    );
    spare.console("systemctl stop reconcile.service")?;

    spare.console(&format!("echo nonsense >> {config}"))?;
    assert!(controller.start().is_err());
    assert_eq!(controller.property("ActiveState")?, "failed");
    assert_eq!(controller.property("ExecMainStatus")?, "2");
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_daemon_that_hangs_is_restarted_by_the_watchdog() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["spare", "cyt-pi"])?;
    let (spare, target) = (&hosts[0], &hosts[1]);
    let controller = Controller::of(spare);
    controller.install(&binary("reconcile")?)?;
    let (_forge, repository, toplevel) = first_system(target, "watched")?;
    controller.configure(&fleet, &repository, target)?;
    controller.write(
        "/etc/systemd/system/reconcile.service.d/test.conf",
        &format!("[Service]\nWatchdogSec={}s\n", WATCHDOG.as_secs()),
    )?;
    spare.console("systemctl daemon-reload")?;
    controller.start()?;
    let started = Instant::now();
    controller.wait_until_deployed(target, &toplevel)?;
    // Through two watchdogs it is the loop that keeps it alive.
    let lived = || Ok(started.elapsed());
    wait_until("two watchdogs", SOON, lived, |age| *age > 2 * WATCHDOG)?;
    assert_eq!(controller.property("ActiveState")?, "active");
    assert_eq!(controller.property("NRestarts")?, "0");

    let before = controller.property("MainPID")?;
    spare.console(&format!("kill -STOP {before}"))?;
    let look = || {
        Ok((
            controller.property("NRestarts")?,
            controller.property("ActiveState")?,
            controller.property("MainPID")?,
        ))
    };
    // On a machine that does everything else too, once may not be enough.
    let again = |(restarts, state, pid): &(String, String, String)| {
        restarts != "0" && state == "active" && *pid != before
    };
    wait_until("a restarted daemon", SOON, look, again).with_context(|| controller.journal())?;
    assert!(
        controller.journal().contains("watchdog"),
        "{}",
        controller.journal()
    );
    Ok(())
}

#[test]
fn the_unit_gives_ssh_a_shell_that_works_and_outlives_a_child_that_runs_out_of_memory() -> Result<()>
{
    let unit = fs::read_to_string(root().join("packaging/systemd/reconcile.service"))?;
    // systemd.exec(5): what is set here wins over the user's own shell. systemd.service(5): else `stop`.
    for line in ["Environment=SHELL=/bin/sh", "OOMPolicy=continue"] {
        assert!(unit.lines().any(|said| said == line), "{line} in {unit}");
    }
    Ok(())
}

#[test]
#[ignore = "long"]
fn the_documented_score_of_the_unit_is_what_systemd_gives_it() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["spare"])?;
    let unit = fs::read_to_string(root().join("packaging/systemd/reconcile.service"))?;
    let outside = hosts[0].directory.join("root/srv/reconcile.service");
    fs::write(&outside, unit)?;
    let said = hosts[0].console(
        "systemd-analyze security --no-pager --offline=true /srv/reconcile.service | tail -n 1; rm /srv/reconcile.service",
    )?;
    let (_, score) = said.split_once("reconcile.service: ").context("no score")?;
    let score: String = score.chars().take_while(|c| *c != ' ').collect();
    let documented = fs::read_to_string(root().join("docs/systemd.md"))?;
    assert!(
        documented.contains(&format!("**{score}**")),
        "docs/systemd.md does not say {score}: {said}"
    );
    Ok(())
}
