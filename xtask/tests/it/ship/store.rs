//! Store care on real hosts: garbage of the controller and of a host, and closures that are signed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use xtask::daemon::Daemon;
use xtask::flake::{Source, System};
use xtask::fleet::Host;
use xtask::process;
use xtask::wait::wait_until;

use crate::scene::{SOON, Scene, never_built, status_of, wait_for_log};

/// How long the builder of a slow build sleeps.
const SLOW_BUILD: u32 = 20;

/// Starts the daemon with a `/nix` of its own below a folder, empty at first: what it collects is nobody else's.
fn in_private_store(folder: &Path) -> Vec<String> {
    let script = "mkdir -p \"$0\" && mount --bind \"$0\" /nix && exec \"$@\"";
    [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([folder.display().to_string()])
    .collect()
}

/// Where the daemon's private store is.
fn private(daemon: &Daemon) -> std::path::PathBuf {
    daemon.directory().join("private-nix")
}

/// Whether a path of the private store is there.
fn lies_in(daemon: &Daemon, path: &str) -> bool {
    private(daemon)
        .join(path.trim_start_matches("/nix/"))
        .exists()
}

fn start_with_private_store() -> Result<Scene> {
    Scene::start_on("main", &["spare"], |config| {
        let folder = config.state_directory.with_file_name("private-nix");
        config.through = in_private_store(&folder);
        config.tail = "[nix]\nkeep_builds = 1\n".to_owned();
    })
}

/// Brings the host to systems of these versions, one after the other; gives their commits and toplevels.
fn deploy_all(scene: &Scene, versions: &[&str]) -> Result<Vec<(String, String)>> {
    let mut deployed = Vec::new();
    for version in versions {
        let revision = scene.deploy("main", version)?;
        scene.wait_for_revision(scene.host(), &revision)?;
        scene.wait_for_status(&scene.host().name, "in sync", |status| {
            status["drift"] == "in_sync"
        })?;
        let toplevel = scene.repository.toplevel(&scene.host().name, &revision)?;
        deployed.push((revision, toplevel));
    }
    Ok(deployed)
}

/// Turns the collection of a store on, which is due at once then and keeps little.
fn turn_on(scene: &mut Scene, table: &str, keep_proven: u32) -> Result<()> {
    let lines = format!(
        "\n[{table}]\ncollect_every = \"1d\"\nkeep_for = \"1h\"\nkeep_proven = {keep_proven}\n"
    );
    scene.daemon.config.tail.push_str(&lines);
    scene.daemon.rewrite_config()
}

/// Waits for the end of the first collection of a store; `find` finds its status.
fn wait_for_collection(scene: &Scene, find: impl Fn() -> Result<Value>) -> Result<Value> {
    let is_there = |status: &Value| status["last_collection"].is_object();
    let seen = wait_until("a collection", SOON, find, is_there);
    let status = seen.with_context(|| scene.daemon.last_words())?;
    Ok(status["last_collection"].clone())
}

fn of_controller(scene: &Scene) -> Result<Value> {
    Ok(scene.daemon.status()?["store"].clone())
}

fn of_host(scene: &Scene) -> Result<Value> {
    Ok(status_of(&scene.daemon, &scene.host().name)?["store"].clone())
}

/// How many collections of a store ended so.
fn counted(scene: &Scene, store: &str, result: &str) -> Result<u64> {
    let labels = [("store", store), ("result", result)];
    let sum = scene
        .daemon
        .metrics()?
        .sum("reconcile_store_collections_total", &labels);
    Ok(sum as u64)
}

/// Asserts that a collection that has ended well is told everywhere, and freed at least so much.
fn assert_told(scene: &Scene, store: &str, collection: &Value, bytes: u64) -> Result<()> {
    assert_eq!(collection["result"], "done", "{collection}");
    let freed = collection["freed"].as_u64().context("no number")?;
    assert!(freed >= bytes, "{collection}");
    assert_eq!(counted(scene, store, "done")?, 1);
    assert_eq!(counted(scene, store, "failed")?, 0);
    let metrics = scene.daemon.metrics()?;
    let labels = [("store", store)];
    let total = metrics.value("reconcile_store_freed_bytes_total", &labels);
    assert_eq!(total.map(|total| total as u64), Some(freed));
    let free = metrics.value("reconcile_store_free_bytes", &labels);
    assert!(free.is_some_and(|free| free > 0.0), "{free:?}");
    Ok(())
}

#[test]
#[ignore = "long"]
fn the_controllers_garbage_goes_and_what_hosts_run_stays_and_a_restart_collects_nothing()
-> Result<()> {
    let mut scene = start_with_private_store()?;
    let deployed = deploy_all(&scene, &["2", "3"])?;
    let [(second, second_system), (_, third_system)] = &deployed[..] else {
        anyhow::bail!("two were deployed");
    };
    // A build is let go of when the round of the hour, or a collection, comes by.
    assert!(lies_in(&scene.daemon, second_system) && lies_in(&scene.daemon, third_system));
    turn_on(&mut scene, "store", 1)?;
    let collection = wait_for_collection(&scene, || of_controller(&scene))?;
    assert_told(&scene, "controller", &collection, 1)?;
    assert!(!lies_in(&scene.daemon, second_system));
    assert!(lies_in(&scene.daemon, third_system));

    scene.daemon.stop()?;
    scene.daemon.start()?;
    scene.wait_for_two_looks(&scene.host().name)?;
    let labels = [("store", "controller")];
    let is_free = |free| free > 0.0;
    scene
        .daemon
        .wait_for_metric("reconcile_store_free_bytes", &labels, SOON, is_free)?;
    assert_eq!(of_controller(&scene)?["last_collection"], collection);
    assert_eq!(counted(&scene, "controller", "done")?, 0);

    // What was evaluated and collected is evaluated again when somebody wants it.
    let host = scene.host().name.clone();
    let output = scene.daemon.cli(&["--host", &host, "--revision", second])?;
    ensure!(output.status.success(), "{output:?}");
    assert_eq!(scene.host().running_toplevel()?, *second_system);
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_build_that_runs_is_never_disturbed_by_a_collection() -> Result<()> {
    let mut scene = start_with_private_store()?;
    let host = scene.host().name.clone();
    let slow = System {
        source: Source::BuildsSlowly(SLOW_BUILD),
        ..System::new("slow")
    };
    let pushed: Timestamp =
        process::run(Command::new("date").args(["--utc", "+%Y-%m-%dT%H:%M:%SZ"]))?
            .trim()
            .parse()?;
    let revision = scene
        .repository
        .deploy("main", "Slow", &[(host.as_str(), slow)])?;
    let is_wanted = |status: &Value| {
        status["desired_revision"] == revision.as_str() && status["desired_toplevel"].is_string()
    };
    scene.wait_for_status(&host, "the build to begin", is_wanted)?;
    turn_on(&mut scene, "store", 1)?;
    // Nobody has to guess why it does not begin.
    let waits = "is not collected before everything that is evaluated, built or copied is done";
    wait_for_log(&scene.daemon, waits)?;
    let collection = wait_for_collection(&scene, || of_controller(&scene))?;
    assert_eq!(collection["result"], "done", "{collection}");
    assert_eq!(scene.daemon.log().matches(waits).count(), 1);
    let began: Timestamp = collection["began_at"]
        .as_str()
        .context("no time")?
        .parse()?;
    let waited = began.duration_since(pushed);
    let build = SignedDuration::from_secs(i64::from(SLOW_BUILD));
    assert!(waited >= build, "it began {waited} after the push");
    scene.wait_for_status(&host, "the slow system", |status| {
        status["drift"] == "in_sync" && is_wanted(status)
    })?;
    let running = scene.host().running_toplevel()?;
    assert!(lies_in(&scene.daemon, &running));
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_hosts_old_generations_go_and_what_it_runs_booted_and_has_proven_stays() -> Result<()> {
    let mut scene = Scene::start(&["spare"])?;
    let deployed = deploy_all(&scene, &["2", "3", "4"])?;
    let [(_, second), (_, third), (_, fourth)] = &deployed[..] else {
        anyhow::bail!("three were deployed");
    };
    let host = scene.host();
    // Somebody has tried another system: the newest two generations are this one and the fourth system's, so the third
    // system has nothing but its proof.
    let profile = "nix-env -p /nix/var/nix/profiles/system --set";
    let base = &host.base_toplevel;
    host.console(&format!("{profile} {base} && {profile} {fourth}"))?;
    let garbage = host.console(
        "head -c 5000000 /dev/urandom > /tmp/garbage; nix-store --add /tmp/garbage; rm /tmp/garbage; \
         touch -h -d '2 days ago' /nix/var/nix/profiles/system-*-link",
    )?;
    let garbage = garbage.trim().to_owned();
    let boots = |host: &Host| -> Result<usize> {
        let activations = host.activations()?;
        let boots = activations.iter().filter(|one| one.action == "boot");
        Ok(boots.count())
    };
    let before = boots(host)?;
    turn_on(&mut scene, "defaults.store", 2)?;
    let collection = wait_for_collection(&scene, || of_host(&scene))?;
    assert_told(&scene, "spare", &collection, 5_000_000)?;
    let host = scene.host();
    for gone in [second, &garbage] {
        host.console(&format!("test ! -e {gone}"))?;
    }
    for kept in [third, fourth, &host.base_toplevel] {
        host.console(&format!("nix-store --check-validity {kept}"))?;
        host.console(&format!(
            "ls -l /nix/var/nix/profiles/system-*-link | grep -qF {kept}"
        ))?;
    }
    // The test bed makes a generation of the first system for every test.
    let others = format!(
        "ls -l /nix/var/nix/profiles/system-*-link | grep -vcF {}",
        host.base_toplevel
    );
    // The third system's, and the fourth's of before and after.
    assert_eq!(host.console(&others)?.trim(), "3");
    // The menu was written anew, for the system that was the boot default already.
    assert!(boots(host)? > before);
    assert_eq!(host.boot_default()?, *fourth);
    // And the next push is deployed as ever.
    deploy_all(&scene, &["5"])?;
    assert_eq!(counted(&scene, "spare", "done")?, 1);
    Ok(())
}

/// Makes the host's user one that may not run the Nix daemon as root, and is not trusted by it, until the host is reset.
fn make_distrustful(host: &Host) -> Result<()> {
    host.console(
        "set -e; echo 'require-sigs = true' >> /etc/nix/nix.conf; usermod -aG nix-users ai-worker; \
         echo 'ai-worker ALL=(ALL) NOPASSWD: ALL, !/usr/bin/nix-daemon' > /etc/sudoers.d/zz-reconcile-test; \
         systemctl restart nix-daemon.service",
    )
    .map(drop)
}

#[test]
#[ignore = "long"]
fn a_host_that_requires_signatures_takes_ours_without_sudo_once_it_has_our_key() -> Result<()> {
    let mut scene = Scene::start(&["lazyworkhorse"])?;
    let host = (*scene.hosts[0]).clone();
    make_distrustful(&host)?;
    let [secret, public] =
        ["store-key", "store-key.pub"].map(|name| scene.daemon.directory().join(name));
    process::run(
        Command::new("nix-store")
            .args(["--generate-binary-cache-key", "reconcile-test-1"])
            .args([&secret, &public]),
    )?;
    let public = fs::read_to_string(public)?.trim().to_owned();
    *scene.daemon.config.host(&host.name) = format!(
        "destinations = [{{ ssh = \"{}\", sudo = \"except-copy\" }}]",
        host.worker_alias
    );
    scene.daemon.config.tail = format!("[store]\nsecret_key_file = \"{}\"\n", secret.display());
    scene.daemon.rewrite_config()?;
    // A push that is heard before would still be copied by the user whom the host trusts.
    let labels = [("result", "reloaded")];
    let taken_up = |reloads| reloads > 0.5;
    scene
        .daemon
        .wait_for_metric("reconcile_config_reloads_total", &labels, SOON, taken_up)?;

    // What lies on the host from an earlier run would not be copied, and so not be refused.
    let systems = [(host.name.as_str(), never_built("signed")?)];
    let revision = scene.repository.deploy("main", "Signed", &systems)?;
    let status = scene.wait_for_status(&host.name, "the copy to be refused", |status| {
        status["desired_revision"] == revision.as_str()
            && status["outcome"]["outcome"] == "copy_failed"
    })?;
    let detail = status["outcome"]["detail"].to_string();
    assert!(
        detail.contains("trusted-public-keys on the host") && detail.contains(&public),
        "{detail}"
    );

    host.console(&format!(
        "echo 'extra-trusted-public-keys = {public}' >> /etc/nix/nix.conf; systemctl restart nix-daemon.service"
    ))?;
    let output = scene.daemon.cli(&["--host", &host.name, "--force"])?;
    ensure!(output.status.success(), "{output:?}");
    let toplevel = scene.repository.toplevel(&host.name, &revision)?;
    assert_eq!(host.running_toplevel()?, toplevel);
    let signatures = host.console(&format!("nix path-info --sigs {toplevel}"))?;
    assert!(signatures.contains("reconcile-test-1:"), "{signatures}");
    Ok(())
}
