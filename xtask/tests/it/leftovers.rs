//! Nothing of a test bed outlives its owner, however the owner ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::claim::sweep_leftovers;
use xtask::fleet::Fleet;
use xtask::process::{run, started};
use xtask::wait::wait_until;

/// How long cleaning may take: the kernel tears down a container's namespaces.
const CLEAN: Duration = Duration::from_secs(30);

/// A host that another process owns.
struct Owned {
    owner: Child,
    folder: PathBuf,
    namespace: String,
    leader: i32,
}

impl Owned {
    fn boot() -> Result<Self> {
        let mut owner = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["hosts", "spare"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(owner.stdout.take().context("no output")?).read_line(&mut line)?;
        let (_, file) = line.trim().split_once('=').context("no fleet")?;
        let fleet = Fleet::attach(Path::new(file))?;
        let host = fleet.host("spare")?;
        Ok(Self {
            owner,
            folder: fleet.description().directory.clone(),
            namespace: host.cable.namespace.clone(),
            leader: host.leader.context("no leader")?,
        })
    }

    fn end_by(&mut self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.owner.id())?), signal)?;
        self.owner.wait()?;
        Ok(())
    }

    /// What is left of it. Another run may have taken its number by now, so what names nothing but this host counts.
    fn leftovers(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        if let Some(ticks) = started(self.leader) {
            left.push(format!("process {} since {ticks}", self.leader));
        }
        let host = self.folder.join("hosts/spare");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&*host.to_string_lossy()))
                .map(str::to_owned),
        );
        let namespaces = run(Command::new("ip").args(["netns", "list"]))?;
        left.extend(
            namespaces
                .lines()
                .filter(|line| line.starts_with(&self.namespace))
                .map(str::to_owned),
        );
        if host.exists() {
            left.push(host.display().to_string());
        }
        Ok(left)
    }
}

#[test]
fn a_terminated_owner_cleans_up_before_it_ends() -> Result<()> {
    let mut owned = Owned::boot()?;
    assert!(!owned.leftovers()?.is_empty());
    owned.end_by(Signal::SIGTERM)?;
    assert_eq!(owned.leftovers()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn what_a_killed_owner_left_is_swept_by_whoever_comes_next() -> Result<()> {
    let mut owned = Owned::boot()?;
    owned.end_by(Signal::SIGKILL)?;
    // Another test may be sweeping it at this moment; then it is gone soon, too.
    wait_until(
        "the sweep",
        CLEAN,
        || sweep_leftovers().and_then(|()| owned.leftovers()),
        Vec::is_empty,
    )?;
    Ok(())
}
