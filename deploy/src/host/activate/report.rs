//! What the host reports of an activation.

use serde::{Deserialize, Serialize};

use super::verdict::ActivationVerdict;
use crate::host::observation::MAX_FAILED_UNITS;
use crate::printable::{printable, shown};

/// One step that the host took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `check`, `sync`, `test`, `set-profile`, `boot` …
    pub name: String,
    /// Its exit code; `None` while it runs or when it was killed with the whole unit.
    pub code: Option<i32>,
    /// When it began, in seconds since 1970 by the host's clock.
    pub began_at: i64,
    /// When it ended, by the same clock.
    pub ended_at: Option<i64>,
}

/// What is known of an activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationReport {
    /// How it ended, if it has.
    pub verdict: ActivationVerdict,
    /// The steps in the order in which the host took them.
    pub steps: Vec<Step>,
    /// The exit code of `switch-to-configuration`, if it was run and ended; of its two runs in a
    /// switch, the one that is not 0.
    pub exit_code: Option<i32>,
    /// The units that were failed afterwards.
    pub failed_units: Vec<String>,
    /// The last part of what the steps printed, control characters escaped.
    pub output_tail: String,
    /// The host's boot id when the report was made.
    pub boot_id: String,
}

/// The steps of a deployment are about ten; more lines are not ours.
const MAX_STEPS: usize = 50;

impl ActivationReport {
    /// Reads what the supervisor's `wait` prints; `None` if it is not whole.
    pub(super) fn read(answer: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(answer);
        let mut report = ActivationReport {
            verdict: ActivationVerdict::StillRunning,
            steps: Vec::new(),
            exit_code: None,
            failed_units: Vec::new(),
            output_tail: String::new(),
            boot_id: String::new(),
        };
        let mut verdict = None;
        let mut rest = text.as_ref();
        loop {
            let (line, after) = rest.split_once('\n')?;
            rest = after;
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match name {
                "boot-id" => report.boot_id = shown(value),
                "step" => report.take_step(value),
                "failed-unit" if report.failed_units.len() < MAX_FAILED_UNITS => {
                    report.failed_units.push(shown(value));
                }
                "verdict" => verdict = ActivationVerdict::read(value),
                "output" => break,
                // A login shell may greet.
                _ => {}
            }
        }
        report.output_tail = printable(rest.as_bytes());
        report.exit_code = report.worst_exit_code();
        report.verdict = verdict?;
        Some(report)
    }

    /// Of the last run of each action of `switch-to-configuration`, the first code that is not 0, else the last.
    fn worst_exit_code(&self) -> Option<i32> {
        let last = |action: &str| {
            let mut runs = self.steps.iter().rev().filter(|step| step.name == action);
            runs.find_map(|step| step.code)
        };
        let mut codes = ["test", "boot", "dry-activate"]
            .into_iter()
            .filter_map(last);
        codes
            .clone()
            .find(|code| *code != 0)
            .or_else(|| codes.next_back())
    }

    /// `TIME begin STEP` or `TIME end STEP CODE`; other lines are for people.
    fn take_step(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [time, "begin", name] if self.steps.len() < MAX_STEPS => {
                if let Ok(began_at) = time.parse() {
                    self.steps.push(Step {
                        name: shown(name),
                        code: None,
                        began_at,
                        ended_at: None,
                    });
                }
            }
            [time, "end", name, code] => {
                if let Some(step) = self.steps.last_mut().filter(|step| step.name == *name) {
                    step.code = code.parse().ok();
                    step.ended_at = time.parse().ok();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
