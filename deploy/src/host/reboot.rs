//! Tells a host to reboot, at most once for each of its boots.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::observation::Observation;
use crate::host::script::{last_line, run_script, script};
use crate::printable::shown;
use crate::ssh::{Connection, SshError};
use crate::toplevel::Toplevel;

/// What a host boots unless somebody chooses otherwise, as far as it can be known from the running host: the
/// generation of the system profile for which the last boot entry was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootEntry {
    /// The number of the generation, as boot menus show it.
    pub generation: Option<u32>,
    /// Its system.
    pub toplevel: Option<Toplevel>,
}

impl fmt::Display for BootEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let toplevel = self.toplevel.as_ref().map_or("no system", Toplevel::as_str);
        match self.generation {
            Some(generation) => write!(f, "generation {generation}, {toplevel}"),
            None => f.write_str(toplevel),
        }
    }
}

impl Observation {
    /// What the host would boot now.
    pub fn boot_entry(&self) -> BootEntry {
        BootEntry {
            generation: self.generation,
            toplevel: self.profile.clone(),
        }
    }
}

/// What a host made of the order to reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It reboots.
    Reboots,
    /// It is on another boot than the one named: nothing was done.
    HasRebooted,
    /// A switch is running there: nothing was done.
    Locked {
        /// Process id, command and unit of the holder of the switch's lock.
        by: String,
    },
    /// systemd did not take the order.
    Refused {
        /// What it said.
        detail: String,
    },
}

/// Why it is not known what became of the order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebootError {
    /// The connection failed: a host that reboots may close it before it has answered.
    #[error("the connection failed while telling the host to reboot")]
    Ssh(#[from] SshError),
    /// The host's answer makes no sense.
    #[error("the host's answer to the order to reboot cannot be read: {0}")]
    Unreadable(String),
}

impl RebootError {
    /// Whether telling it again can succeed.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            RebootError::Ssh(error) => error.is_worth_retrying(),
            RebootError::Unreadable(_) => true,
        }
    }
}

/// What runs on the host: holder.sh and reboot.sh as one script.
const SCRIPT: &str = concat!(include_str!("holder.sh"), include_str!("reboot.sh"));

/// Longer than the script's own patience with systemd.
const TIMEOUT: Duration = Duration::from_secs(45);

/// Tells the host to reboot, if it is still on the boot `boot_id`; harmless to repeat. systemd does it
/// (`systemctl reboot`, systemctl(1)), not our connection.
///
/// # Errors
/// When it is not known whether the host took the order; look at its boot id.
pub async fn reboot(connection: &Connection, boot_id: &str) -> Result<Told, RebootError> {
    let script = script(SCRIPT, [boot_id]).timeout(TIMEOUT);
    let read = |answer: &str| told(last_line(answer));
    run_script(connection, script, read, RebootError::Unreadable).await
}

fn told(line: &str) -> Option<Told> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "reboots" => Some(Told::Reboots),
        "has-rebooted" => Some(Told::HasRebooted),
        "locked" => Some(Told::Locked { by: shown(rest) }),
        "refused" => Some(Told::Refused {
            detail: shown(rest.trim_end()),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_the_script_is_read() {
        assert_eq!(told("reboots"), Some(Told::Reboots));
        assert_eq!(told("has-rebooted"), Some(Told::HasRebooted));
        assert_eq!(
            told("locked pid 7 (x) in a.service"),
            Some(Told::Locked {
                by: "pid 7 (x) in a.service".into()
            })
        );
        assert_eq!(
            told("refused Access denied "),
            Some(Told::Refused {
                detail: "Access denied".into()
            })
        );
        assert_eq!(told("Welcome!"), None);
    }

    #[test]
    fn a_boot_entry_reads_as_a_boot_menu_shows_it() {
        let mut entry = BootEntry {
            generation: Some(42),
            toplevel: "/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-x"
                .parse()
                .ok(),
        };
        assert_eq!(
            entry.to_string(),
            "generation 42, /nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-x"
        );
        entry = BootEntry {
            generation: None,
            toplevel: None,
        };
        assert_eq!(entry.to_string(), "no system");
    }
}
