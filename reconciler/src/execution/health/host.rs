//! What a host is told to look at before a new system stays.

use deploy::{HostProbe, Proof};
use planning::model::health_checks::{Acknowledge, ProbeConfig, ProbeKind, ProofConfig, Viewpoint};

use crate::execution::health::controller;

/// What the host is told.
pub fn of_config(config: &ProofConfig) -> Proof {
    Proof {
        acknowledge: match config.acknowledge {
            Acknowledge::SameRoute | Acknowledge::EveryRoute => {
                Some(config.timeout + controller::limit(config))
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

#[cfg(test)]
mod tests;
