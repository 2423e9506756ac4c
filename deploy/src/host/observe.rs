//! Reads, in one round trip, what a host runs and how it is.

use std::time::Duration;

use crate::host::observation::{
    DeploymentTrace, MAX_DEPLOYMENTS, MAX_FAILED_UNITS, MAX_SPECIALISED, Observation, RebootReason,
    SwitchLock,
};
use crate::host::script::{run_script, script};
use crate::printable::shown;
use crate::specialisation::SpecialisationOf;
use crate::ssh::{Connection, SshError};

/// Why a host could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// The connection failed.
    #[error("could not look at the host")]
    Ssh(#[from] SshError),
    /// The answer is cut off or makes no sense.
    #[error("the host's answer about itself cannot be read: {0}")]
    Unreadable(String),
}

impl ObserveError {
    /// Whether asking again can succeed.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            ObserveError::Ssh(error) => error.is_worth_retrying(),
            ObserveError::Unreadable(_) => true,
        }
    }

    /// Whether the host did not answer in the time that it was given.
    pub fn is_timeout(&self) -> bool {
        matches!(self, ObserveError::Ssh(error) if error.is_timeout())
    }
}

/// What runs on the host, as one script.
const SCRIPT: &str = concat!(
    include_str!("holder.sh"),
    include_str!("platform.sh"),
    include_str!("observe.sh")
);

/// A kernel's platform and a system's are two; more lines are not ours.
const MAX_PLATFORMS: usize = 2;
/// The whole answer is some kilobytes; the lists in it are bounded on the host.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Looks at the host, in one round trip, as root where the destination can: only root sees the traces
/// of deployments.
pub async fn observe(
    connection: &Connection,
    timeout: Duration,
) -> Result<Observation, ObserveError> {
    let script = script(SCRIPT, [])
        .timeout(timeout)
        .output_limit(ANSWER_LIMIT);
    run_script(connection, script, read, ObserveError::Unreadable).await
}

/// Reads the script's answer; `None` if it is not whole. A path that is no toplevel (a host that is
/// not NixOS) is as good as none.
fn read(answer: &str) -> Option<Observation> {
    let mut observation = Observation::default();
    let mut is_whole = false;
    for line in answer.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        match name {
            "running" => observation.running = value.parse().ok(),
            "booted" => observation.booted = value.parse().ok(),
            "profile" => observation.profile = value.parse().ok(),
            "specialisation" if observation.specialisation_of.len() < MAX_SPECIALISED => {
                observation.specialisation_of.extend(specialised(value));
            }
            "generation" => observation.generation = value.parse().ok(),
            "boot-id" => observation.boot_id = shown(value),
            "machine-id" => observation.machine_id = shown(value),
            "platform" if observation.platforms.len() < MAX_PLATFORMS => {
                observation.platforms.push(shown(value));
            }
            "system-state" => observation.system_state = shown(value),
            "failed-unit" if observation.failed_units.len() < MAX_FAILED_UNITS => {
                observation.failed_units.push(shown(value));
            }
            "unfinished" => observation.unfinished_lists = true,
            "reboot" => observation
                .reboot_reasons
                .extend(RebootReason::named(value)),
            "free" => {
                let (place, bytes) = value.split_once(' ')?;
                observation
                    .free_bytes
                    .insert(shown(place), bytes.parse().ok()?);
            }
            "locked" => observation.switch_lock = SwitchLock::Held { by: shown(value) },
            "deployment" if observation.deployments.len() < MAX_DEPLOYMENTS => {
                observation.deployments.push(trace(value)?);
            }
            "end" => is_whole = true,
            // Nothing else is printed; a login shell may greet.
            _ => {}
        }
    }
    (is_whole && !observation.boot_id.is_empty()).then_some(observation)
}

/// `NAME TOPLEVEL`; a name that is none of NixOS's is nothing that could be asked for.
fn specialised(value: &str) -> Option<SpecialisationOf> {
    let (name, toplevel) = value.split_once(' ')?;
    Some(SpecialisationOf {
        name: name.parse().ok()?,
        toplevel: toplevel.parse().ok()?,
    })
}

/// `ID STATE [VERDICT]`
fn trace(value: &str) -> Option<DeploymentTrace> {
    let mut words = value.splitn(3, ' ');
    Some(DeploymentTrace {
        id: shown(words.next()?),
        unit_state: shown(words.next()?),
        verdict: words.next().filter(|text| !text.is_empty()).map(shown),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = "/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-cyt-pi-25.11";
    const BOOT: &str = "boot-id 7d0e0f3e-6b0f-4f4e-9d4e-0f0e0d0c0b0a\n";

    #[test]
    fn a_whole_answer_is_read() {
        let answer = format!(
            "Welcome!\nrunning {SYSTEM}\nbooted {SYSTEM}\nprofile {SYSTEM}\ngeneration 42\nreboot kernel\n\
             reboot kernel-params\n{BOOT}machine-id 0123\nplatform aarch64-linux\nplatform armv7l-linux\nsystem-state degraded\n\
             failed-unit a.service\nunfinished start-list\n\
             locked pid 7 (/nix/store/x/bin/switch-to-configuration switch) in a.service\n\
             free / 1\nfree /nix 20000000000\n\
             deployment d-12345678 active \ndeployment d-87654321 inactive failed test 2\nend\n"
        );
        let seen = read(&answer).unwrap();
        assert_eq!(seen.running.unwrap().as_str(), SYSTEM);
        assert_eq!(seen.profile.unwrap().as_str(), SYSTEM);
        assert_eq!(seen.platforms, ["aarch64-linux", "armv7l-linux"]);
        assert_eq!(seen.generation, Some(42));
        assert_eq!(seen.system_state, "degraded");
        assert_eq!(seen.failed_units, ["a.service"]);
        assert!(seen.unfinished_lists);
        assert_eq!(
            seen.reboot_reasons,
            [RebootReason::Kernel, RebootReason::KernelParams]
        );
        assert_eq!(seen.free_bytes["/nix"], 20_000_000_000);
        assert!(
            matches!(seen.switch_lock, SwitchLock::Held { by } if by.contains("pid 7") && by.ends_with("a.service"))
        );
        assert_eq!(seen.deployments.len(), 2);
        assert_eq!(seen.deployments[0].verdict, None);
        assert_eq!(
            seen.deployments[1].verdict.as_deref(),
            Some("failed test 2")
        );
    }

    #[test]
    fn a_host_that_is_not_nixos_has_no_systems() {
        let seen = read(&format!("running /usr/lib\n{BOOT}end\n")).unwrap();
        assert_eq!((seen.running, seen.booted), (None, None));
        assert_eq!(seen.switch_lock, SwitchLock::Free);
    }

    #[test]
    fn an_answer_that_is_cut_off_is_refused() {
        assert_eq!(read(&format!("running {SYSTEM}\n{BOOT}")), None);
        assert_eq!(read("end\n"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn a_host_cannot_send_control_characters_or_endless_lists() {
        let mut answer = format!("{BOOT}system-state \u{1b}]0;x\u{7}\n");
        answer.extend((0..1000).map(|n| format!("failed-unit u{n}.service\n")));
        answer.push_str("end\n");
        let seen = read(&answer).unwrap();
        assert!(!seen.system_state.contains(char::is_control));
        assert_eq!(seen.failed_units.len(), MAX_FAILED_UNITS);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_the_reader_fail(answer in "((running|free|deployment|reboot|end|x) ?.{0,12}\n){0,8}") {
            let _ = read(&answer);
        }
    }
}
