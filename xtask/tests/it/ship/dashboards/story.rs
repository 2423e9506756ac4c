//! A fleet that goes through everything that can be seen.

use std::fs;

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use xtask::flake::{Exit, System};
use xtask::fleet::read_offline;
use xtask::forge::Delivering;
use xtask::wait::wait_until;

use super::prometheus::{Prometheus, SOON};
use super::questions::{Questions, short_alerts, wait_until_fires, wait_until_resolves};
use crate::scene::Scene;
use crate::settled::{start_with, wait_until_in_sync};

/// What tells the story.
struct Teller {
    scene: Scene,
    prometheus: Prometheus,
    questions: Questions,
}

/// The host to which things happen, and the one that is changed by config.
const BATTERED: &str = "spare";
const QUIET: &str = "cyt-pi";

impl Teller {
    fn begin() -> Result<Self> {
        let scene = start_with(&[BATTERED, QUIET], |config| {
            // Missed deliveries and failed fetches are to be seen soon.
            config.poll_interval = Some("2s".to_owned());
            config.timeouts = "connect = \"1s\"\nobserve = \"5s\"\nactivate = \"30s\"".to_owned();
        })?;
        let prometheus = Prometheus::start(scene.daemon.config.operator, &short_alerts()?)?;
        let questions = Questions::all(&prometheus)?;
        Ok(Self {
            scene,
            prometheus,
            questions,
        })
    }

    fn ask(&mut self) -> Result<()> {
        self.questions.ask(&self.prometheus)
    }

    fn fires(&mut self, alert: &str, host: Option<&str>) -> Result<()> {
        wait_until_fires(&self.prometheus, alert, host)?;
        self.ask()
    }

    fn resolves(&self, alert: &str, host: Option<&str>) -> Result<()> {
        wait_until_resolves(&self.prometheus, alert, host)
    }

    /// Pushes a system for the battered host; the other one keeps what it has.
    fn push(&self, system: System) -> Result<String> {
        let message = system.version.clone();
        self.scene
            .repository
            .deploy("main", &message, &[(BATTERED, system)])
    }

    fn push_what_works(&self, version: &str) -> Result<()> {
        let good = self.push(System::new(version))?;
        wait_until_in_sync(&self.scene, BATTERED, &good)
    }

    fn push_and_wait(&self, system: System, outcome: &str) -> Result<String> {
        let revision = self.push(system)?;
        self.scene.wait_for_status(BATTERED, outcome, |status| {
            status["outcome"]["outcome"] == outcome && status["desired_revision"] == revision
        })?;
        Ok(revision)
    }

    /// Runs `reconcile`, whatever comes of it.
    fn says(&self, arguments: &[&str]) -> Result<()> {
        let output = self.scene.daemon.cli(arguments)?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
        Ok(())
    }
}

#[test]
#[ignore = "long"]
fn every_query_gives_data_once_what_it_tells_of_has_happened() -> Result<()> {
    let mut teller = Teller::begin()?;
    teller.push_what_works("2")?;
    teller.ask()?;
    drifts(&mut teller)?;
    is_held_back(&mut teller)?;
    fails(&mut teller)?;
    is_away(&mut teller)?;
    reboots(&mut teller)?;
    collects_garbage(&mut teller)?;
    git_and_gitea_fail(&mut teller)?;
    the_daemon_fails(&mut teller)?;
    teller.questions.all_are_answered()
}

/// A host that is only observed and differs.
fn drifts(teller: &mut Teller) -> Result<()> {
    let before = teller.scene.daemon.config.host(QUIET).clone();
    *teller.scene.daemon.config.host(QUIET) += "\npolicy = \"observe\"";
    teller.scene.daemon.rewrite_config()?;
    teller
        .scene
        .wait_for_status(QUIET, "the policy", |status| status["policy"] == "observe")?;
    let drifted = teller.scene.deploy("main", "drifted")?;
    teller.fires("ReconcileHostDrifted", Some(QUIET))?;
    *teller.scene.daemon.config.host(QUIET) = before;
    teller.scene.daemon.rewrite_config()?;
    wait_until_in_sync(&teller.scene, QUIET, &drifted)?;
    teller.resolves("ReconcileHostDrifted", Some(QUIET))
}

/// Suspended, and outside of a window.
fn is_held_back(teller: &mut Teller) -> Result<()> {
    teller.says(&["suspend", "--host", BATTERED, "--why", "new disk"])?;
    teller.fires("ReconcileSuspended", Some(BATTERED))?;
    teller.says(&["resume", "--host", BATTERED, "--why", "disk is in"])?;
    teller.resolves("ReconcileSuspended", Some(BATTERED))?;

    let before = teller.scene.daemon.config.host(BATTERED).clone();
    let in_two_days = Timestamp::now().checked_add(SignedDuration::from_hours(48))?;
    let day = in_two_days.strftime("%a").to_string().to_lowercase();
    *teller.scene.daemon.config.host(BATTERED) += &format!(
        "\nwindows = [{{ days = [\"{day}\"], from = \"00:00\", to = \"24:00\", time_zone = \"UTC\" }}]"
    );
    teller.scene.daemon.rewrite_config()?;
    let revision = teller.push(System::new("waits"))?;
    teller
        .scene
        .wait_for_status(BATTERED, "its window", |status| {
            !status["waits_until"].is_null()
        })?;
    teller.ask()?;
    *teller.scene.daemon.config.host(BATTERED) = before;
    teller.scene.daemon.rewrite_config()?;
    wait_until_in_sync(&teller.scene, BATTERED, &revision)
}

/// Systems that cannot be activated, cannot stay, or cannot be left.
fn fails(teller: &mut Teller) -> Result<()> {
    let bad = |exit, version: &str| System {
        exit,
        ..System::new(version)
    };
    teller.push_and_wait(bad(Exit::ChecksRefuse, "refuses"), "activation_refused")?;
    teller.fires("ReconcileDeploymentFails", Some(BATTERED))?;
    teller.push_what_works("3")?;
    teller.resolves("ReconcileDeploymentFails", Some(BATTERED))?;

    teller.push_and_wait(bad(Exit::ActivationFails, "cannot-stay"), "rolled_back")?;
    teller.fires("ReconcileRolledBack", Some(BATTERED))?;
    teller.fires("ReconcileQuarantined", Some(BATTERED))?;
    teller.push_what_works("4")?;
    teller.resolves("ReconcileRolledBack", Some(BATTERED))?;
    teller.resolves("ReconcileQuarantined", Some(BATTERED))?;

    // The old system cannot be activated any more.
    let host = &teller.scene.hosts[0];
    let old = host.running_toplevel()?;
    let program = format!("{old}/bin/switch-to-configuration");
    host.console(&format!("mount --bind /bin/false {program}"))?;
    teller.push_and_wait(bad(Exit::ActivationFails, "no-way-back"), "rollback_failed")?;
    teller.fires("ReconcileRollbackFailed", Some(BATTERED))?;
    teller.scene.hosts[0].console(&format!("umount {program}"))?;
    teller.push_what_works("5")?;
    teller.resolves("ReconcileRollbackFailed", Some(BATTERED))
}

/// A host that is off.
fn is_away(teller: &mut Teller) -> Result<()> {
    teller.scene.hosts[1].power_cut()?;
    teller.fires("ReconcileHostOverdue", Some(QUIET))?;
    teller.scene.hosts[1].power_on()?;
    teller.resolves("ReconcileHostOverdue", Some(QUIET))
}

/// A reboot that is required, one that fails, and one that does not.
fn reboots(teller: &mut Teller) -> Result<()> {
    let another_kernel = |version: &str| System {
        kernel: "6.12.99".into(),
        ..System::new(version)
    };
    let first = teller.scene.hosts[0].running_toplevel()?;
    let revision = teller.push(another_kernel("kernel"))?;
    wait_until_in_sync(&teller.scene, BATTERED, &revision)?;
    teller.fires("ReconcileRebootRequired", Some(BATTERED))?;

    // Somebody has chosen another system at the console.
    let host = &teller.scene.hosts[0];
    read_offline(host, "boot/testbed-default")?;
    let boot_default = host.directory.join("root/boot/testbed-default");
    fs::write(boot_default, format!("{first}\n"))?;
    let tail = "[defaults.reboot]\npolicy = \"when-required\"\ndeadline = \"60s\"\n";
    tail.clone_into(&mut teller.scene.daemon.config.tail);
    teller.scene.daemon.rewrite_config()?;
    teller.fires("ReconcileRebootFailed", Some(BATTERED))?;
    let revision = teller.push(another_kernel("again"))?;
    wait_until_in_sync(&teller.scene, BATTERED, &revision)?;
    teller.resolves("ReconcileRebootFailed", Some(BATTERED))?;
    teller.resolves("ReconcileRebootRequired", Some(BATTERED))
}

/// A host whose store is cleaned.
fn collects_garbage(teller: &mut Teller) -> Result<()> {
    let before = teller.scene.daemon.config.tail.clone();
    let table = format!("\n[hosts.\"{QUIET}\".store]\ncollect_every = \"1h\"\n");
    teller.scene.daemon.config.tail.push_str(&table);
    teller.scene.daemon.rewrite_config()?;
    let labels = [("store", QUIET), ("result", "done")];
    let name = "reconcile_store_collections_total";
    teller
        .scene
        .daemon
        .wait_for_metric(name, &labels, SOON, |count| count > 0.0)?;
    teller.scene.daemon.config.tail = before;
    teller.scene.daemon.rewrite_config()?;
    teller.ask()
}

/// Deliveries with another secret, lost ones, and a repository that cannot be fetched.
fn git_and_gitea_fail(teller: &mut Teller) -> Result<()> {
    let repository = &teller.scene.repository;
    let sign_with =
        |secret: &str| repository.edit(|settings| settings.hooks[0].secret = secret.to_owned());
    sign_with("another")?;
    let refused = repository.redeliver(&teller.scene.last_push()?)?;
    assert_eq!(refused.status, Some(403));
    sign_with(xtask::daemon::SECRET)?;
    repository.set_delivering(Delivering::Lost)?;
    let lost = teller.push(System::new("lost"))?;
    wait_until_in_sync(&teller.scene, BATTERED, &lost)?;
    teller.scene.repository.set_delivering(Delivering::Sent)?;
    teller.fires("ReconcileDeliveriesRefused", None)?;
    teller.fires("ReconcileDeliveriesMissed", None)?;

    let bare = teller.scene.repository.bare().to_owned();
    let away = bare.with_extension("away");
    fs::rename(&bare, &away)?;
    let fired = teller.fires("ReconcileFetchFails", None);
    fs::rename(&away, &bare)?;
    fired?;
    teller.resolves("ReconcileFetchFails", None)
}

/// A config that is refused, and a daemon that is gone.
fn the_daemon_fails(teller: &mut Teller) -> Result<()> {
    let good = teller.scene.daemon.config.tail.clone();
    teller.scene.daemon.config.tail.push_str("\n[nonsense]\n");
    teller.scene.daemon.rewrite_config()?;
    teller.fires("ReconcileConfigRefused", None)?;
    teller.scene.daemon.config.tail = good;
    teller.scene.daemon.rewrite_config()?;
    teller.resolves("ReconcileConfigRefused", None)?;

    teller.scene.daemon.stop()?;
    let is_gone = || teller.prometheus.query("absent(reconcile_build_info)");
    wait_until("the daemon to be missed", SOON, is_gone, |gone| {
        !gone.is_empty()
    })?;
    teller.fires("ReconcileAbsent", None)?;
    teller.scene.daemon.start()?;
    teller.resolves("ReconcileAbsent", None)
}
