//! The power button of a host: systemd-nspawn boots it, SIGKILL is the power cut.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::architecture::Architecture;
use crate::cgroup;
use crate::claim::record_process;
use crate::namespace::{self, processes_in};
use crate::process::{self, finish, said, tail};
use crate::wait::{Seen, wait_for};

/// How long a host may take to boot: 5 s alone, more when four boot on two busy cores.
const BOOT: Duration = Duration::from_secs(120);

/// How much of a host's console an error repeats.
const CONSOLE_BYTES: usize = 2_000;

/// The file in a host's folder that keeps it off when it reboots.
pub(super) const STAYS_OFF: &str = "stays-off";

/// Runs the program that follows for as long as it ends with 133, as `systemd-nspawn --keep-unit` does when the host
/// wants to be booted again (`RestartForceExitStatus=` in systemd-nspawn@.service). Each time it enters the groups whose
/// `cgroup.procs` are given after their number; what the boot before left in them is removed. While the file that
/// comes first is there, the host stays off, as one does whose firmware waits for a key.
const BOOT_AND_REBOOT: &str = r#"
stays_off=$1
shift
run() {
    groups=$1
    shift
    while [ "$groups" -gt 0 ]; do
        echo 0 > "$1" || exit
        shift
        groups=$((groups - 1))
    done
    exec "$@"
}
empty() {
    groups=$1
    shift
    while [ "$groups" -gt 0 ]; do
        until rmdir "${1%/*}" 2> /dev/null; do
            find "${1%/*}" -mindepth 1 -depth -type d -exec rmdir {} + 2> /dev/null
            sleep 0.1
        done
        mkdir "${1%/*}"
        shift
        groups=$((groups - 1))
    done
}
while :; do
    (run "$@")
    [ $? -eq 133 ] || exit
    empty "$@"
    while [ -e "$stays_off" ]; do sleep 0.1; done
done
"#;

/// What nspawn needs to know of a host.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub name: &'a str,
    /// The claim's folder, where processes are recorded.
    pub claim: PathBuf,
    /// The host's own folder in it.
    pub directory: &'a Path,
    pub namespace: &'a str,
    pub architecture: Architecture,
}

impl Machine<'_> {
    /// Boots, and waits until systemd has started what it starts.
    pub fn power_on(&self) -> Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.console_log())?;
        let entrances = cgroup::make(self.namespace)?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", BOOT_AND_REBOOT, "sh"])
            .arg(self.directory.join(STAYS_OFF))
            .arg(entrances.len().to_string())
            .args(entrances)
            .args([
                "systemd-nspawn",
                "--quiet",
                "--register=no",
                "--keep-unit",
                "--boot",
                "--capability=CAP_NET_ADMIN",
            ])
            .arg(format!(
                "--directory={}",
                self.directory.join("root").display()
            ))
            .arg(format!("--machine={}", self.namespace))
            .arg(format!("--hostname={}", self.name))
            .arg(format!(
                "--network-namespace-path=/run/netns/{}",
                self.namespace
            ))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at the terminal is for the owner, who then cleans up in order.
            .process_group(0)
            .spawn()
            .context("cannot start systemd-nspawn")?;
        record_process(&self.claim, child.id())?;
        fs::write(self.directory.join("nspawn.pid"), child.id().to_string())?;
        std::thread::spawn(move || child.wait());
        self.wait_until_booted()
    }

    /// Cuts the power: nothing in the host runs another instruction.
    pub fn power_cut(&self) -> Result<()> {
        let recorded = fs::read_to_string(self.directory.join("nspawn.pid")).unwrap_or_default();
        if let Ok(pid) = recorded.parse::<i32>()
            && process::started(pid).is_some()
        {
            // nspawn is of the shell's group; the shell alone would leave it behind.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        namespace::empty(self.namespace)
    }

    /// The host's init, as this machine numbers it; `None` while the power is off.
    pub fn init(&self) -> Result<Option<i32>> {
        if !Path::new("/run/netns").join(self.namespace).exists() {
            return Ok(None);
        }
        Ok(processes_in(self.namespace)?
            .into_iter()
            .find(|pid| is_init(*pid)))
    }

    /// Runs a shell line in the host without its network, as root at the console would.
    pub fn console(&self, line: &str) -> Result<Output> {
        let Some(init) = self.init()? else {
            bail!("{} is off", self.name);
        };
        finish(
            Command::new("nsenter")
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .env("HOME", "/root")
                .args([
                    "--target",
                    &init.to_string(),
                    "--all",
                    "--",
                    "/bin/sh",
                    "-c",
                    line,
                ]),
        )
    }

    fn wait_until_booted(&self) -> Result<()> {
        let what = format!("{} to boot", self.name);
        wait_for(&what, BOOT * self.architecture.patience(), || {
            let output = self.console("systemctl is-system-running")?;
            let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            // A degraded host is a host: some toplevels that tests boot are meant to have failed units.
            Ok(if state == "running" || state == "degraded" {
                Seen::Yes(())
            } else {
                Seen::NotYet(said(&output))
            })
        })
        .with_context(|| {
            let log = fs::read(self.console_log()).unwrap_or_default();
            format!(
                "console of {}: {}",
                self.name,
                tail(&String::from_utf8_lossy(&log), CONSOLE_BYTES)
            )
        })
    }

    fn console_log(&self) -> PathBuf {
        self.directory.join("console.log")
    }
}

/// Whether a process is process 1 of a container (`NSpid` in proc(5) lists its number in each process namespace).
fn is_init(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            .is_some_and(|numbers| numbers.split_whitespace().skip(1).last() == Some("1"))
    })
}
