//! A host of 64-bit ARM, deployed from this machine in each of the three ways to build for it; `docs/aarch64.md` tells
//! them to people.
//!
//! The hosts are emulated, and everything that builds a system is a program for aarch64, carried by the flake: the file
//! `testbed/built-by` of a system says which machine it ran on, and as what.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::daemon::Daemon;
use xtask::flake::System;
use xtask::fleet::{Architecture, Fleet, Host, Lease};
use xtask::forge::{Forge, Repository};
use xtask::wait::wait_until;

const PI: &str = "cyt-pi";
const BUILDER: &str = "arm-builder";
const PLATFORM: &str = "aarch64-linux";

/// A deployment takes seconds on real hosts; every program of these is emulated, on a machine that may run other tests.
const EMULATED: Duration = Duration::from_secs(600);

/// Dropped in this order: the daemon before what it works on.
struct Scene {
    daemon: Daemon,
    repository: Repository,
    revision: String,
    _forge: Forge,
    hosts: Vec<Lease>,
    _fleet: Arc<Fleet>,
}

/// The emulated hosts, which the tests here share: booting them takes minutes.
fn fleet() -> Result<Arc<Fleet>> {
    static SHARED: Mutex<Weak<Fleet>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(fleet) = shared.upgrade() {
        return Ok(fleet);
    }
    let fleet = Arc::new(Fleet::boot_as(Architecture::Aarch64, &[PI, BUILDER])?);
    *shared = Arc::downgrade(&fleet);
    Ok(fleet)
}

impl Scene {
    /// Both hosts as they were made, a commit with a system that nobody has built, and a daemon that does not run yet,
    /// with the product's own patience.
    fn prepare() -> Result<Self> {
        let fleet = fleet()?;
        let hosts = fleet.lease(&[PI, BUILDER])?;
        let forge = Forge::start()?;
        let repository = forge.create("infra-team/infra")?;
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        let system = System {
            platform: PLATFORM.to_owned(),
            built_for: PLATFORM.to_owned(),
            busybox: Some(hosts[0].directory.join("root/usr/bin/busybox")),
            ..System::new(id.trim())
        };
        let revision = repository.deploy("main", "First", &[(PI, system)])?;
        let mut daemon = Daemon::prepare(&forge, &repository, &[&*hosts[0]])?;
        daemon.config.timeouts.clear();
        Ok(Self {
            daemon,
            repository,
            revision,
            _forge: forge,
            hosts,
            _fleet: fleet,
        })
    }

    fn pi(&self) -> &Host {
        &self.hosts[0]
    }

    fn builder(&self) -> &Host {
        &self.hosts[1]
    }

    /// What the commit is for the host, without building it.
    fn toplevel(&self) -> Result<String> {
        self.repository.evaluated(PI, &self.revision)
    }

    /// Lets the daemon bring the host to the commit; gives what the system says of where it was built.
    fn deploy(&mut self) -> Result<String> {
        self.daemon.start()?;
        let toplevel = self.toplevel()?;
        let has_ended = |status: &Value| {
            status["drift"] == "in_sync" || status["outcome"]["outcome"] == "build_failed"
        };
        let status = self.wait_for_status(has_ended)?;
        assert_eq!(status["drift"], "in_sync", "{status:#}");
        assert_eq!(self.pi().running_toplevel()?, toplevel);
        assert_eq!(self.pi().boot_default()?, toplevel);
        assert_eq!(self.pi().console("uname -m")?.trim(), "aarch64");
        let past = self
            .daemon
            .cli_json(&["history", "--kind", "deployment", "--host", PI])?;
        let entries = past["entries"].as_array().context("no entries")?;
        let outcomes: Vec<_> = entries.iter().map(|entry| &entry["outcome"]).collect();
        assert_eq!(outcomes, ["converged"], "{past:#}");
        let said = self
            .pi()
            .console("cat /run/current-system/testbed/built-by")?;
        Ok(said.trim().to_owned())
    }

    /// Waits until the daemon's status of the host is as it should be.
    fn wait_for_status(&self, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let look = || Ok(self.daemon.status()?["hosts"][0].clone());
        wait_until("the status of the host", EMULATED, look, holds)
            .with_context(|| self.daemon.last_words())
    }
}

/// Whether a host has a store path.
fn has(host: &Host, path: &str) -> Result<bool> {
    Ok(host
        .try_console(&format!("test -e {path}"))?
        .status
        .success())
}

#[test]
#[ignore = "long"]
fn an_aarch64_host_gets_a_system_that_was_built_here_under_emulation() -> Result<()> {
    let mut scene = Scene::prepare()?;
    // As a line of nix.conf would.
    let settings = format!("extra-platforms = {PLATFORM}");
    scene
        .daemon
        .environment
        .push(("NIX_CONFIG".to_owned(), settings));
    let here = fs::read_to_string("/proc/sys/kernel/hostname")?;
    assert_eq!(scene.deploy()?, format!("{} aarch64", here.trim()));
    assert!(!has(scene.builder(), &scene.toplevel()?)?);
    Ok(())
}

#[test]
#[ignore = "long"]
fn an_aarch64_host_gets_a_system_that_a_remote_builder_has_built() -> Result<()> {
    let mut scene = Scene::prepare()?;
    *scene.daemon.config.host(PI) += &format!("\nbuild_on = \"{BUILDER}\"");
    assert_eq!(scene.deploy()?, format!("{BUILDER} aarch64"));
    assert!(has(scene.builder(), &scene.toplevel()?)?);
    Ok(())
}

#[test]
#[ignore = "long"]
fn an_aarch64_host_builds_its_system_itself() -> Result<()> {
    let mut scene = Scene::prepare()?;
    *scene.daemon.config.host(PI) += "\nbuild_on = \"target\"";
    assert_eq!(scene.deploy()?, format!("{PI} aarch64"));
    let toplevel = scene.toplevel()?;
    assert!(!Path::new(&toplevel).exists(), "it came here");
    assert!(!has(scene.builder(), &toplevel)?);
    Ok(())
}

#[test]
#[ignore = "long"]
fn with_none_of_the_three_ways_all_are_told_and_the_aarch64_host_is_left_alone() -> Result<()> {
    let mut scene = Scene::prepare()?;
    // The kernel could run the builder: that alone is not Nix's leave to build for another platform.
    scene.daemon.start()?;
    let status = scene.wait_for_status(|status| status["outcome"]["outcome"] == "build_failed")?;
    let detail = status["outcome"]["detail"].as_str().unwrap_or_default();
    for way in ["extra-platforms", "<ssh destination>", "\"target\""] {
        assert!(detail.contains(way), "{way} is not in {detail}");
    }
    assert!(status["next_attempt"].is_null(), "{status:#}");
    assert_eq!(scene.pi().running_toplevel()?, scene.pi().base_toplevel);
    Ok(())
}
