//! Boots fleets, and finds those that are booted.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use anyhow::{Result, anyhow};

use super::architecture::Architecture;
use super::host::Host;
use super::new_host::Plan;
use super::running::{Description, Fleet};
use super::{keys, layers, network};
use crate::claim::Claim;
use crate::{bootstrap, emulation};

/// Names the files of running fleets, separated as in `PATH`, for processes that should attach to one.
pub const FLEET_VARIABLE: &str = "RECONCILE_TEST_FLEET";

/// The first user's three hosts, and one more to rename, remove and break.
pub const HOSTS: [&str; 4] = ["lazyworkhorse", "cyt-pi", "uConsole", "spare"];

impl Fleet {
    /// Boots hosts, all at once, and waits until one can log in to each.
    ///
    /// # Errors
    /// When this machine lacks something ([`crate::bootstrap`]) or a host does not boot.
    pub fn boot(names: &[&str]) -> Result<Self> {
        Self::boot_as(Architecture::Native, names)
    }

    /// The same with hosts of an architecture, which are emulated where it is not this machine's own.
    ///
    /// # Errors
    /// As [`Fleet::boot`], and when this machine cannot emulate.
    pub fn boot_as(architecture: Architecture, names: &[&str]) -> Result<Self> {
        bootstrap::require_root()?;
        bootstrap::raise_limits()?;
        let claim = Claim::new()?;
        let directory = claim.directory();
        if architecture != Architecture::Native {
            emulation::provide(&directory)?;
        }
        let layers = layers::layers(architecture)?;
        let keys = keys::make(&directory)?;
        let bridge = network::make_bridge(claim.number())?;
        let plans: Vec<Plan> = (0..)
            .zip(names)
            .map(|(index, name)| Plan {
                number: claim.number(),
                index,
                name,
                bridge: &bridge,
                keys: &keys,
                layers: &layers,
                architecture,
            })
            .collect();
        let hosts = boot_all(&plans)?;
        keys::write_client_files(&keys, &hosts)?;
        for host in &hosts {
            host.wait_for_login()?;
        }
        let description = Description {
            owner: std::process::id(),
            ssh_config: keys.ssh_config,
            identity: keys.identity,
            known_hosts: keys.known_hosts,
            controller: network::controller_address(claim.number()),
            hosts: hosts
                .into_iter()
                .map(|host| (host.name.clone(), host))
                .collect(),
            directory,
        };
        Self::owned(claim, description)
    }

    /// Attaches to a fleet that [`FLEET_VARIABLE`] names, to each in turn, or else boots one of all [`HOSTS`], which
    /// everybody in this process shares until the last of them drops it.
    ///
    /// # Errors
    /// As [`Fleet::attach`] and [`Fleet::boot`].
    pub fn obtain() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Fleet>> = Mutex::new(Weak::new());
        static TURN: AtomicUsize = AtomicUsize::new(0);
        if let Some(files) = std::env::var_os(FLEET_VARIABLE) {
            let files: Vec<PathBuf> = std::env::split_paths(&files).collect();
            let turn = TURN.fetch_add(1, Ordering::Relaxed) % files.len();
            return Ok(Arc::new(Self::attach(&files[turn])?));
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fleet) = shared.upgrade() {
            return Ok(fleet);
        }
        let fleet = Arc::new(Self::boot(&HOSTS)?);
        *shared = Arc::downgrade(&fleet);
        Ok(fleet)
    }
}

/// Boots hosts at the same time.
fn boot_all(plans: &[Plan]) -> Result<Vec<Host>> {
    thread::scope(|scope| {
        let booting: Vec<_> = plans
            .iter()
            .map(|plan| scope.spawn(|| plan.boot()))
            .collect();
        booting
            .into_iter()
            .map(|one| one.join().map_err(|_| anyhow!("booting a host panicked"))?)
            .collect()
    })
}
