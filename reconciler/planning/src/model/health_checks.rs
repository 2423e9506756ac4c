//! What a system has to show before it stays: units, probes, and a login that is newer than it.

use std::time::Duration;

use deploy::{OnDegraded, OnRollbackFailed};
use glob::Pattern;

/// Table `[hosts.NAME.proof]`, with `[defaults.proof]` filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct ProofConfig {
    /// Over which routes a new login has to work.
    pub acknowledge: Acknowledge,
    /// How long the host waits for that login, at least 1 s.
    pub timeout: Duration,
    /// How long the system runs before it is looked at.
    pub settle: Duration,
    /// What newly failed units and failed probes lead to.
    pub on_degraded: OnDegraded,
    /// What it leads to that even the old system cannot be activated again.
    pub on_rollback_failed: OnRollbackFailed,
    /// Units whose failure does not matter.
    pub ignored_units: Vec<String>,
    /// What else has to succeed, in this order.
    pub probes: Vec<ProbeConfig>,
}

/// Whether one of these patterns names the unit, as systemctl(1) and the host's shell read them. What is no pattern is a
/// name.
pub fn names(patterns: &[String], unit: &str) -> bool {
    patterns.iter().any(|pattern| {
        pattern == unit || Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(unit))
    })
}

/// Over which routes a new login has to work before a system stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// Over the one that the deployment came by.
    SameRoute,
    /// Over every configured one.
    EveryRoute,
    /// None is tried: the host judges alone.
    No,
}

/// One element of `probes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeConfig {
    /// How it is named when it fails.
    pub name: String,
    /// What has to succeed.
    pub what: ProbeKind,
    /// Who looks.
    pub from: Viewpoint,
    /// How often it is tried, at least once.
    pub attempts: u32,
    /// Between two tries.
    pub pause: Duration,
    /// How long one try may take, at least 1 s.
    pub timeout: Duration,
}

/// From where a probe looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewpoint {
    /// From the host itself.
    Host,
    /// From the machine that `reconcile` runs on, before it acknowledges.
    Controller,
}

/// What a probe looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// A command on the host that ends with 0: the program and its arguments.
    Command(Vec<String>),
    /// A unit of the host that is active.
    Unit(String),
    /// A port that accepts a connection.
    Tcp {
        /// The name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A URL that answers with a status below 400.
    Http(String),
}

/// How long a host waits for a login: three tries of a slow network, and a restart of ours.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(120);
/// A service that cannot work mostly ends within seconds; systemd calls it started before (systemd.service(5), `Type=`).
const SETTLE: Duration = Duration::from_secs(10);

impl ProofConfig {
    /// What holds where nobody says anything.
    pub fn built_in() -> Self {
        Self {
            acknowledge: Acknowledge::SameRoute,
            timeout: ACKNOWLEDGE_TIMEOUT,
            settle: SETTLE,
            on_degraded: OnDegraded::Rollback,
            on_rollback_failed: OnRollbackFailed::Stay,
            ignored_units: Vec::new(),
            probes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_do_not_matter_are_named_by_patterns_or_as_they_are() {
        let patterns = [
            "home-manager-*.service",
            "user@[0-9]*.service",
            r"a\x2db.mount",
            "[.service",
        ];
        let patterns = patterns.map(String::from);
        for (unit, is_named) in [
            ("home-manager-anna.service", true),
            ("user@1000.service", true),
            ("user@anna.service", false),
            (r"a\x2db.mount", true),
            ("ax2db.mount", false),
            ("[.service", true),
            ("app.service", false),
        ] {
            assert_eq!(names(&patterns, unit), is_named, "{unit}");
        }
    }
}
