//! A host of the test bed for one test, and the systems that are tried on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, ops::Deref};

use deploy::{Connections, DeploymentId, Destination, SshSettings, Sudo, Toplevel};
use xtask::flake::{self, System};
use xtask::fleet::{self, Fleet, Lease, count_begun};

/// How long anything on a host may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A host that this test has for itself, as it was made.
pub struct Host {
    lease: Lease,
    control: tempfile::TempDir,
    /// It ends with the last who has one of its hosts, if it is not another's.
    _fleet: Arc<Fleet>,
}

impl Deref for Host {
    type Target = fleet::Host;

    fn deref(&self) -> &fleet::Host {
        &self.lease
    }
}

impl Host {
    /// Of the fleet that `cargo xtask test` or `cargo xtask hosts` has booted, or of one that all tests here share.
    /// Waits while another test has the host.
    pub fn lease(name: &str) -> Self {
        let [host] = Self::lease_all([name]);
        host
    }

    /// As [`Host::lease`], several of one fleet.
    pub fn lease_all<const COUNT: usize>(names: [&str; COUNT]) -> [Self; COUNT] {
        let fleet = Fleet::obtain().unwrap();
        let leases: [Lease; COUNT] = fleet.lease(&names).unwrap().try_into().unwrap();
        leases.map(|lease| Self {
            lease,
            control: tempfile::tempdir().unwrap(),
            _fleet: Arc::clone(&fleet),
        })
    }

    pub fn connections(&self) -> Connections {
        Connections::new(SshSettings {
            config_file: Some(self.ssh_config.clone()),
            control_directory: self.control.path().to_owned(),
            connect_timeout: Duration::from_secs(10),
            max_sessions: 8,
        })
    }

    /// The destination that logs in as root.
    pub fn as_root(&self) -> [Destination; 1] {
        [Destination::new(&self.root_alias, Sudo::No).unwrap()]
    }

    /// The destination that logs in as an unprivileged user.
    pub fn as_worker(&self, sudo: Sudo) -> [Destination; 1] {
        [Destination::new(&self.worker_alias, sudo).unwrap()]
    }

    pub async fn until(&self, what: &str, line: &str) {
        let deadline = Instant::now() + LIMIT;
        while !self.try_console(line).unwrap().status.success() {
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Builds a system on the host: a good one, with changes.
    pub fn build(&self, change: impl FnOnce(&mut System)) -> Toplevel {
        // A version of its own, or it would be the system of an earlier test.
        let mut system = System::new(fresh_id().as_str());
        change(&mut system);
        let folder = format!("/opt/{}", system.version);
        let outside = self.directory.join("root").join(&folder[1..]);
        flake::write_template(&outside).unwrap();
        flake::write_host(&outside, "next", &system).unwrap();
        let path = self
            .console(&format!(
                "nix --offline build --no-link --print-out-paths \
                 'path:{folder}#nixosConfigurations.next.config.system.build.toplevel'"
            ))
            .unwrap();
        fs::remove_dir_all(outside).unwrap();
        path.trim().parse().unwrap()
    }

    /// How many activations of a system by one action began since the last reset.
    pub fn begun(&self, action: &str, system: &Toplevel) -> usize {
        count_begun(&self.activations().unwrap(), action, system.as_str())
    }

    /// Kills every ssh master of ours.
    pub fn kill_masters(&self) {
        let directory = self.control.path().display().to_string();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if line.starts_with(b"ssh\0")
                && String::from_utf8_lossy(&line).contains(&format!("\0{directory}/"))
            {
                let number = entry.file_name().into_string().unwrap();
                // It may have ended by itself since.
                let _ = std::process::Command::new("kill")
                    .args(["-9", &number])
                    .output();
            }
        }
    }
}

/// An id that no run had before.
pub fn fresh_id() -> DeploymentId {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("t-{}-{}-{count}", now.as_millis(), std::process::id())
        .parse()
        .unwrap()
}
