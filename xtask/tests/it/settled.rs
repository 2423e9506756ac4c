//! Scenes in which nothing is left to do: what `/run/current-system` says is only the middle of a `switch`.

use std::time::Duration;

use anyhow::Result;
use xtask::daemon::Config;

use crate::scene::Scene;

/// Every host is looked at this often.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// [`Scene::start`], with every host in sync with the first commit.
pub fn start(names: &[&str]) -> Result<Scene> {
    start_with(names, |_| ())
}

/// The same with a config of the test's own.
pub fn start_with(names: &[&str], change: impl Fn(&mut Config)) -> Result<Scene> {
    let scene = Scene::start_on("main", names, |config| {
        config.defaults = format!("interval = \"{}s\"", INTERVAL.as_secs());
        change(config);
    })?;
    let first = scene.repository.tip("main")?;
    for name in names {
        wait_until_in_sync(&scene, name, &first)?;
    }
    Ok(scene)
}

/// Waits until the daemon has found a host where a commit wants it.
pub fn wait_until_in_sync(scene: &Scene, host: &str, revision: &str) -> Result<()> {
    let what = format!("{host} to be in sync with {revision}");
    let in_sync = |status: &serde_json::Value| {
        status["drift"] == "in_sync" && status["desired_revision"] == revision
    };
    scene.wait_for_status(host, &what, in_sync).map(drop)
}
