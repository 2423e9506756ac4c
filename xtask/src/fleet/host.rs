//! One host of a fleet, and everything that a test does to it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::architecture::Architecture;
use super::machine::{Machine, STAYS_OFF};
use super::network::Cable;
use crate::process::{self, said};
use crate::wait::wait_until;

/// How long sshd may take to answer once systemd says that the host runs.
const LOGIN: Duration = Duration::from_secs(30);

/// A host, as the fleet's file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What the flake calls it; also an alias in the fleet's `ssh_config`.
    pub name: String,
    /// The alias that logs in as root; the same as the name where that is how the host is reached.
    pub root_alias: String,
    /// The alias that logs in as `ai-worker`, who may use sudo without a password.
    pub worker_alias: String,
    /// Its address on the fleet's bridge.
    pub address: Ipv4Addr,
    /// Where its sshd listens.
    pub port: u16,
    /// Its end of the network.
    pub cable: Cable,
    /// Its folder on this machine: `root` (its file system), `console.log`, `lease`, `nspawn.pid`.
    pub directory: PathBuf,
    /// Its sshd's public key, one line without a name.
    pub host_key: String,
    /// The process id of its init when the file was written; a power cut changes it.
    pub leader: Option<i32>,
    /// The fleet's `ssh_config`.
    pub ssh_config: PathBuf,
    /// The toplevel that it is made with and reset to.
    pub base_toplevel: String,
    /// What its programs are built for.
    pub architecture: Architecture,
}

impl Host {
    /// Runs a shell line over a new SSH login as root; gives its standard output.
    ///
    /// # Errors
    /// When the login or the line fails.
    pub fn ssh(&self, line: &str) -> Result<String> {
        self.ssh_as(&self.root_alias, line)
    }

    /// Runs a shell line over a new SSH login by any alias of the fleet's `ssh_config`.
    ///
    /// # Errors
    /// When the login or the line fails.
    pub fn ssh_as(&self, alias: &str, line: &str) -> Result<String> {
        process::run(
            Command::new("ssh")
                .arg("-F")
                .arg(&self.ssh_config)
                .args([alias, "--", line]),
        )
    }

    /// Runs a shell line in the host without its network, as root at the console would; gives its standard output.
    ///
    /// # Errors
    /// When the host is off or the line fails.
    pub fn console(&self, line: &str) -> Result<String> {
        let output = self.try_console(line)?;
        ensure!(
            output.status.success(),
            "{}: `{line}` ended with {}: {}",
            self.name,
            output.status,
            said(&output)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Like [`Host::console`], for lines whose failure is an answer.
    ///
    /// # Errors
    /// When the host is off.
    pub fn try_console(&self, line: &str) -> Result<Output> {
        self.machine().console(line)
    }

    /// What `/run/current-system` is now.
    ///
    /// # Errors
    /// When the host is off or the link is missing.
    pub fn running_toplevel(&self) -> Result<String> {
        self.link("/run/current-system")
    }

    /// What the host booted with.
    ///
    /// # Errors
    /// As [`Host::running_toplevel`].
    pub fn booted_toplevel(&self) -> Result<String> {
        self.link("/run/booted-system")
    }

    /// What the system profile points at.
    ///
    /// # Errors
    /// As [`Host::running_toplevel`].
    pub fn profile_toplevel(&self) -> Result<String> {
        self.link("/nix/var/nix/profiles/system")
    }

    /// What would run after a reboot: the file that stands for the boot loader's default.
    ///
    /// # Errors
    /// When the host is off.
    pub fn boot_default(&self) -> Result<String> {
        Ok(self.console("cat /boot/testbed-default")?.trim().to_owned())
    }

    /// The version that the marker unit of the running system wrote when it started; `None` when it does not run.
    ///
    /// # Errors
    /// When the host is off.
    pub fn marker(&self) -> Result<Option<String>> {
        let text = self.console("cat /run/testbed-marker 2>/dev/null || true")?;
        Ok(Some(text.trim().to_owned()).filter(|version| !version.is_empty()))
    }

    /// Every event that `switch-to-configuration` noted since the last reset, oldest first.
    ///
    /// # Errors
    /// When the host is off.
    pub fn activations(&self) -> Result<Vec<Activation>> {
        let text = self.console("cat /var/log/testbed-activations 2>/dev/null || true")?;
        Ok(text.lines().filter_map(Activation::parse).collect())
    }

    /// Waits until the activation of a system hangs, where [`crate::flake::System::hang`] says; but not in its script, which notes
    /// nothing.
    ///
    /// # Errors
    /// When the deadline passes.
    pub fn wait_for_hang(&self, toplevel: &str, deadline: Duration) -> Result<()> {
        let hangs = |log: &Vec<Activation>| {
            log.iter()
                .any(|one| one.toplevel == toplevel && one.event.starts_with("hang "))
        };
        wait_until("a hang", deadline, || self.activations(), hangs).map(drop)
    }

    /// Lets an activation that hangs go on.
    ///
    /// # Errors
    /// When none hangs.
    pub fn end_hang(&self) -> Result<()> {
        self.console("pkill -f '^sleep infinity'").map(drop)
    }

    /// Cuts the power and leaves it off. What the host had on disk stays.
    ///
    /// # Errors
    /// When something of the host survives.
    pub fn power_cut(&self) -> Result<()> {
        self.machine().power_cut()
    }

    /// Boots a host that is off, and waits until one can log in or until it runs but nobody can (a system that has broken its own network boots too).
    ///
    /// # Errors
    /// When it does not boot.
    pub fn power_on(&self) -> Result<()> {
        self.cable.lay()?;
        self.machine().power_on()
    }

    /// Lets the host go off at its next reboot and stay off, until [`Host::lets_boot`].
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn stays_off(&self) -> Result<()> {
        Ok(fs::write(self.directory.join(STAYS_OFF), "")?)
    }

    /// Ends [`Host::stays_off`]: a host that is off because of it boots now.
    ///
    /// # Errors
    /// When the mark cannot be removed.
    pub fn lets_boot(&self) -> Result<()> {
        match fs::remove_file(self.directory.join(STAYS_OFF)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The id of the host's present boot.
    ///
    /// # Errors
    /// When the host is off.
    pub fn boot_id(&self) -> Result<String> {
        let id = self.console("cat /proc/sys/kernel/random/boot_id")?;
        Ok(id.trim().to_owned())
    }

    /// Whether the host's init runs.
    ///
    /// # Errors
    /// When the namespaces cannot be read.
    pub fn is_on(&self) -> Result<bool> {
        Ok(self.machine().init()?.is_some())
    }

    /// Unplugs the host: every packet is lost until [`Host::restore_network`].
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn cut_network(&self) -> Result<()> {
        self.cable.unplug()
    }

    /// Plugs the host in again.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn restore_network(&self) -> Result<()> {
        self.cable.plug()
    }

    /// Brings the host back to how it was made: power on, network plugged, base toplevel current, profile and boot default, nothing of ours left, nothing failed.
    ///
    /// # Errors
    /// When it cannot; the error holds what the host says.
    pub fn reset(&self) -> Result<()> {
        self.lets_boot()?;
        if self.is_on()? {
            self.restore_network()?;
        } else {
            // One that is about to boot by itself is not booted twice.
            self.power_cut()?;
            self.power_on()?;
        }
        self.console("/usr/lib/testbed/reset")?;
        if self.running_toplevel()? != self.base_toplevel {
            // A system with another init interface is only left by a reboot.
            self.power_cut()?;
            self.power_on()?;
        }
        for toplevel in [
            self.running_toplevel()?,
            self.profile_toplevel()?,
            self.boot_default()?,
        ] {
            ensure!(
                toplevel == self.base_toplevel,
                "{} could not be reset, it is at {toplevel}: {}",
                self.name,
                self.console("cat /run/testbed-reset.log")?
            );
        }
        self.wait_for_login()
    }

    /// Waits until root can log in.
    ///
    /// # Errors
    /// When nobody can for half a minute, or as much longer as emulation takes.
    pub fn wait_for_login(&self) -> Result<()> {
        wait_until(
            &format!("a login on {}", self.name),
            LOGIN * self.architecture.patience(),
            || self.ssh("true"),
            |_| true,
        )
        .map(drop)
    }

    /// The host's init now, as this machine numbers it.
    ///
    /// # Errors
    /// When the namespaces cannot be read.
    pub fn init(&self) -> Result<Option<i32>> {
        self.machine().init()
    }

    fn link(&self, path: &str) -> Result<String> {
        Ok(self
            .console(&format!("readlink -f {path}"))?
            .trim()
            .to_owned())
    }

    fn machine(&self) -> Machine<'_> {
        let claim = self
            .directory
            .parent()
            .and_then(Path::parent)
            .unwrap_or(&self.directory)
            .to_path_buf();
        Machine {
            name: &self.name,
            claim,
            directory: &self.directory,
            namespace: &self.cable.namespace,
            architecture: self.architecture,
        }
    }
}

/// Reads a file of the host without the host's help, also while it is off.
///
/// # Errors
/// When there is no such file.
pub fn read_offline(host: &Host, path: &str) -> Result<String> {
    let path = host
        .directory
        .join("root")
        .join(path.trim_start_matches('/'));
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
