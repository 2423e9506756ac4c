//! What a new system has to prove on its host before it stays.

use std::fmt::Write as _;
use std::time::Duration;

use crate::shell::{self, NulByte};

/// How a system proves itself. The host judges by itself and goes back by itself; what it asks of us
/// is only an acknowledgement, which is proof that a login still works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// How long the host waits for the acknowledgement; `None` where none is asked for. Whole
    /// seconds, at least one.
    pub acknowledge: Option<Duration>,
    /// How long the system runs before it is looked at: a service that crashes at once needs a moment to
    /// be seen to. Whole seconds.
    pub settle: Duration,
    /// What units that fail, and probes that do, lead to.
    pub on_degraded: OnDegraded,
    /// What it leads to that even the old system cannot be activated again.
    pub on_rollback_failed: OnRollbackFailed,
    /// Units whose failure does not matter: names, or patterns of the shell's kind.
    pub ignored_units: Vec<String>,
    /// What else has to succeed on the host.
    pub probes: Vec<HostProbe>,
}

/// What a system with newly failed units, or a failed probe, leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDegraded {
    /// Back to the old system.
    Rollback,
    /// It stays, degraded.
    Keep,
}

/// What a host does that neither keeps the new system nor can go back to the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRollbackFailed {
    /// It stays as it is, for a person to look at.
    Stay,
    /// It reboots, where that leads to the system that it booted before.
    Reboot,
}

/// How a new system looks to those who reach it over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromOutside {
    /// Everything that was tried works.
    Good,
    /// Something does not.
    Failed {
        /// The probe that failed, named as in [`HostProbe::name`].
        probe: String,
    },
}

/// A command that has to end with 0 on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostProbe {
    /// How it is named when it fails: letters, digits, `-`, `_` and `.`; anything else becomes `-`.
    pub name: String,
    /// The program and its arguments; no shell comes between.
    pub command: Vec<String>,
    /// How often it is tried, at least once.
    pub attempts: u32,
    /// Between two tries; whole seconds.
    pub pause: Duration,
    /// How long one try may take; whole seconds, at least one.
    pub timeout: Duration,
}

impl OnDegraded {
    /// As the supervisor has it.
    const fn name(self) -> &'static str {
        match self {
            OnDegraded::Rollback => "rollback",
            OnDegraded::Keep => "keep",
        }
    }
}

impl OnRollbackFailed {
    /// As the supervisor has it.
    const fn name(self) -> &'static str {
        match self {
            OnRollbackFailed::Stay => "stay",
            OnRollbackFailed::Reboot => "reboot",
        }
    }
}

/// A commit writes a boot entry, and every step flushes a disk: room for all of them together.
const COMMIT: Duration = Duration::from_secs(60);

impl Proof {
    /// No proof: the host keeps what it activates.
    pub const NONE: Self = Self {
        acknowledge: None,
        settle: Duration::ZERO,
        on_degraded: OnDegraded::Keep,
        on_rollback_failed: OnRollbackFailed::Stay,
        ignored_units: Vec::new(),
        probes: Vec::new(),
    };

    /// How long everything up to the commit may take, when one activation may take `activate`, the end of a boot as
    /// long, and a boot entry too. The
    /// supervisor is ended then, and goes back.
    pub fn limit(&self, activate: Duration) -> Duration {
        let probes: Duration = self.probes.iter().map(HostProbe::limit).sum();
        let acknowledge = self.acknowledge.unwrap_or_default();
        activate * 3 + self.settle + probes + acknowledge + COMMIT
    }

    /// How long going back may take at most, after that: the profile, its boot entry and the system.
    pub fn rollback_limit(activate: Duration) -> Duration {
        activate * 2 + COMMIT
    }

    /// The plan as the supervisor reads it: assignments of its shell, every word quoted.
    ///
    /// # Errors
    /// When a word has a NUL byte.
    pub(super) fn plan(&self, activate: Duration) -> Result<String, NulByte> {
        let mut plan = format!(
            "activate_seconds={}\nacknowledge_seconds={}\nsettle_seconds={}\non_degraded={}\non_rollback_failed={}\nignored_units={}\n",
            seconds(activate).max(1),
            self.acknowledge.map_or(0, |wait| seconds(wait).max(1)),
            seconds(self.settle),
            self.on_degraded.name(),
            self.on_rollback_failed.name(),
            // In a pattern of the shell's a backslash stands before what is meant as it is, and in a unit's name for itself.
            shell::quoted(&self.ignored_units.join("\n").replace('\\', r"\\"))?,
        );
        plan.push_str("probes() {\n    :\n");
        for probe in &self.probes {
            let words: Result<Vec<_>, _> = probe
                .command
                .iter()
                .map(|word| shell::quoted(word))
                .collect();
            // Writing to a String does not fail.
            let _ = writeln!(
                plan,
                "    probe {} {} {} {} {} || return 1",
                shell::quoted(&plain_name(&probe.name))?,
                probe.attempts.max(1),
                seconds(probe.pause),
                seconds(probe.timeout).max(1),
                words?.join(" "),
            );
        }
        plan.push_str("}\n");
        Ok(plan)
    }
}

impl HostProbe {
    fn limit(&self) -> Duration {
        (self.timeout.max(Duration::from_secs(1)) + self.pause) * self.attempts.max(1)
    }
}

/// One word, because a line of the supervisor's has spaces between its words.
pub(super) fn plain_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect()
}

/// Whole seconds, rounded up: what was asked for is not cut short.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(name: &str, command: &[&str]) -> HostProbe {
        HostProbe {
            name: name.into(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            attempts: 3,
            pause: Duration::from_secs(2),
            timeout: Duration::from_millis(2500),
        }
    }

    #[test]
    fn the_plan_quotes_every_word_that_comes_from_outside() {
        let proof = Proof {
            acknowledge: Some(Duration::from_secs(120)),
            settle: Duration::from_secs(5),
            on_degraded: OnDegraded::Rollback,
            on_rollback_failed: OnRollbackFailed::Reboot,
            ignored_units: vec![r"a\x2d.service".into(), "b'$(x).service".into()],
            probes: vec![probe("it's; rm", &["curl", "-f", "http://x/?a=$(reboot)'"])],
        };
        let plan = proof.plan(Duration::from_secs(900)).unwrap();
        assert!(
            plan.contains("probe 'it-s--rm' 3 2 3 'curl' '-f' ")
                || plan.contains("probe it-s--rm 3 2 3 curl -f "),
            "{plan}"
        );
        for line in [
            "activate_seconds=900\n",
            "acknowledge_seconds=120\n",
            "settle_seconds=5\n",
            "on_degraded=rollback\n",
            "on_rollback_failed=reboot\n",
        ] {
            assert!(plan.contains(line), "{plan}");
        }
        // A shell that reads it does nothing but remember.
        let script = format!(
            "{plan}probe() {{ shift 4; printf '%s|' \"$@\"; }}\nprobes; printf '%s' \"$ignored_units\""
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "curl|-f|http://x/?a=$(reboot)'|a\\\\x2d.service\nb'$(x).service"
        );
    }

    #[test]
    fn a_word_that_no_shell_can_be_given_makes_no_plan() {
        let proof = Proof {
            probes: vec![probe("a", &["curl", "http://x/\0"])],
            ..Proof::NONE
        };
        let error = proof.plan(Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains("`http://x/\\0`"), "{error}");
    }

    #[test]
    fn the_limit_has_room_for_every_part() {
        let proof = Proof {
            acknowledge: Some(Duration::from_secs(120)),
            settle: Duration::from_secs(5),
            probes: vec![probe("a", &["true"])],
            ..Proof::NONE
        };
        let limit = proof.limit(Duration::from_secs(100));
        assert_eq!(
            limit.as_millis(),
            300_000 + 5_000 + 13_500 + 120_000 + 60_000
        );
    }
}
