//! Hosts that may not be changed now, and what they wait for.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;
use xtask::wait::wait_until;

use super::{attempts, ends_with};
use crate::scene::{SOON, Scene, history, places, says, status_of};
use crate::settled::{start, wait_until_in_sync};

const HOST: &str = "spare";

/// Puts another config in force.
fn reload(scene: &mut Scene, change: impl Fn(&mut String)) -> Result<()> {
    let reloads = |scene: &Scene| {
        let labels = [("result", "reloaded")];
        let metrics = scene.daemon.metrics()?;
        Ok(metrics.sum("reconcile_config_reloads_total", &labels))
    };
    let before: f64 = reloads(scene)?;
    change(scene.daemon.config.host(HOST));
    scene.daemon.rewrite_config()?;
    wait_until("the reload", SOON, || reloads(scene), |now| *now > before).map(drop)
}

/// A freeze that holds until then, as a line of the host's table.
fn frozen_until(end: &str) -> String {
    format!(
        "\nfreezes = [{{ from = \"2000-01-01\", to = \"{end}\", time_zone = \"UTC\", why = \"nobody is there\" }}]"
    )
}

fn wait_until_waiting(scene: &Scene, revision: &str) -> Result<Value> {
    scene.wait_for_status(HOST, "the host to wait", |status| {
        status["desired_revision"] == revision && status["waits"].is_string()
    })
}

#[test]
fn a_frozen_host_is_not_deployed_says_why_and_until_when_and_is_deployed_by_force_or_after_it()
-> Result<()> {
    let mut scene = start(&[HOST])?;
    let first = scene.repository.tip("main")?;
    let old = scene.repository.toplevel(HOST, &first)?;
    let freeze = frozen_until("2100-01-01");
    reload(&mut scene, |host| host.push_str(&freeze))?;

    let second = scene.deploy("main", "2")?;
    let new = scene.repository.toplevel(HOST, &second)?;
    let status = wait_until_waiting(&scene, &second)?;
    let said = "frozen until 2100-01-01 00:00 UTC: nobody is there; \
                deployed at 2100-01-01T00:00:00Z, or now with --force";
    assert_eq!(status["waits"], said);
    assert_eq!(status["waits_until"], "2100-01-01T00:00:00Z");
    assert_eq!(status["drift"], "drifted");
    scene.wait_for_two_looks(HOST)?;
    let daemon = &scene.daemon;
    let told = history(daemon, HOST, "wait")?;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["detail"], said);
    assert_eq!(daemon.log().matches("the host waits: frozen").count(), 1);
    // Tables break lines wherever they are full.
    assert!(says(daemon, &["status"])?.contains("frozen"));
    let plan = daemon.cli_json(&["plan", "--host", HOST])?;
    assert_eq!(plan[0]["decision"]["why"]["why"], "window_closed");
    let asked = ends_with(daemon, 6, &["--host", HOST])?;
    assert!(asked.contains(said), "{asked}");
    assert_eq!(
        places(scene.host())?,
        [old.clone(), old.clone(), old.clone()]
    );
    assert!(attempts(daemon, HOST, &second)?.is_empty());

    ends_with(daemon, 0, &["--host", HOST, "--force"])?;
    assert_eq!(
        places(scene.host())?,
        [new.clone(), new.clone(), new.clone()]
    );
    assert!(status_of(daemon, HOST)?["waits"].is_null());

    // The way back waits too; asked for again by force it is the same way.
    let back = ["rollback", "--host", HOST];
    ends_with(daemon, 6, &back)?;
    assert_eq!(scene.host().running_toplevel()?, new);
    ends_with(daemon, 0, &[&back[..], &["--force"]].concat())?;
    assert_eq!(scene.host().running_toplevel()?, old);
    ends_with(daemon, 0, &["unpin", "--host", HOST])?;

    let third = scene.deploy("main", "3")?;
    wait_until_waiting(&scene, &third)?;
    assert_eq!(scene.host().running_toplevel()?, old);
    reload(&mut scene, |host| *host = host.replace(&freeze, ""))?;
    wait_until_in_sync(&scene, HOST, &third)?;
    assert_eq!(attempts(&scene.daemon, HOST, &third)?.len(), 1);
    Ok(())
}

#[test]
fn a_host_is_deployed_when_its_freeze_ends_and_not_an_interval_later() -> Result<()> {
    /// Time enough for the config to be taken up, and for the host to be seen waiting.
    const AHEAD: Duration = Duration::from_secs(15);
    let mut scene = start(&[HOST])?;
    let far = frozen_until("2100-01-01");
    reload(&mut scene, |host| {
        host.push_str("\ninterval = \"1h\"");
        host.push_str(&far);
    })?;
    let second = scene.deploy("main", "2")?;
    wait_until_waiting(&scene, &second)?;

    let end = Timestamp::from_second((Timestamp::now() + AHEAD).as_second())?;
    let near = frozen_until(&end.strftime("%Y-%m-%dT%H:%M:%S").to_string());
    reload(&mut scene, |host| *host = host.replace(&far, &near))?;
    wait_until_in_sync(&scene, HOST, &second)?;
    let attempts = attempts(&scene.daemon, HOST, &second)?;
    assert_eq!(attempts.len(), 1);
    let began: Timestamp = attempts[0]["started_at"]
        .as_str()
        .unwrap_or_default()
        .parse()?;
    assert!(began >= end, "began at {began}, frozen until {end}");
    Ok(())
}
