//! The proof that a new system owes us: what its host is told to look at, and the login that only we can
//! try.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deploy::{Connection, Destination, HostProbe, Proof, SshError};

use crate::config::{Acknowledge, ProbeConfig, ProbeKind, ProofConfig, Viewpoint};
use crate::outside;
use crate::pass::Pass;

/// What the host is told.
pub fn of_config(config: &ProofConfig) -> Proof {
    Proof {
        acknowledge: match config.acknowledge {
            Acknowledge::SameRoute | Acknowledge::EveryRoute => {
                Some(config.timeout + outside::limit(config))
            }
            Acknowledge::No => None,
        },
        settle: config.settle,
        on_degraded: config.on_degraded,
        on_rollback_failed: config.on_rollback_failed,
        ignored_units: config.ignored_units.clone(),
        probes: config
            .probes
            .iter()
            .filter(|probe| probe.from == Viewpoint::Host)
            .map(probe)
            .collect(),
    }
}

/// Every probe that looks from the host is a command there, with programs that every NixOS has (nixpkgs,
/// nixos/modules/config/system-path.nix).
fn probe(config: &ProbeConfig) -> HostProbe {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    HostProbe {
        name: config.name.clone(),
        command: match &config.what {
            ProbeKind::Command(command) => command.clone(),
            ProbeKind::Unit(unit) => words(&["systemctl", "is-active", "--quiet", "--", unit]),
            // bash(1), "REDIRECTION".
            ProbeKind::Tcp { host, port } => words(&[
                "bash",
                "-c",
                "exec 3<>\"/dev/tcp/$0/$1\"",
                host,
                &port.to_string(),
            ]),
            ProbeKind::Http(url) => words(&[
                "curl",
                "--fail",
                "--silent",
                "--show-error",
                "--output",
                "/dev/null",
                "--",
                url,
            ]),
        },
        attempts: config.attempts,
        pause: config.pause,
        timeout: config.timeout,
    }
}

/// Logs in anew, over a connection that did not exist before the new system did; over every route where
/// the config says so. That this works is what an acknowledgement says.
///
/// `destination` is the route that the deployment came by.
///
/// # Errors
/// When a login that has to work does not.
pub async fn log_in(pass: &Pass, destination: &str) -> Result<Connection, SshError> {
    let config = &pass.config;
    let connections = &pass.setup.connections;
    let timeout = config.timeouts.connect;
    let same: Vec<Destination> = config
        .destinations
        .iter()
        .filter(|one| one.address == destination)
        .cloned()
        .collect();
    // A route that the config no longer has cannot be asked for.
    let same = if same.is_empty() {
        &config.destinations
    } else {
        &same
    };
    if config.proof.acknowledge == Acknowledge::EveryRoute {
        for route in &config.destinations {
            connections
                .reach_fresh(std::slice::from_ref(route), timeout)
                .await?;
        }
    }
    connections.reach_fresh(same, timeout).await
}

/// Deployments under way that this process has attended to: it began them, or tried to reach their
/// hosts and could not. If such a host goes back for want of an acknowledgement, its system is to
/// blame; else we were away.
#[derive(Debug, Default)]
pub struct Attended(Mutex<BTreeSet<String>>);

impl Attended {
    /// This deployment is attended to from now on.
    pub fn note(&self, deployment: &str) {
        self.ids().insert(deployment.to_owned());
    }

    /// Whether it was; forgets it.
    pub fn take(&self, deployment: &str) -> bool {
        self.ids().remove(deployment)
    }

    fn ids(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Whole between any two statements, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
