//! Real hosts on one machine: sshd, Nix, systemd and a toplevel, each in a container with a network of its own.
//!
//! A host boots in 5 s from a Debian root that is made once ([`layers`]); its disk is an overlay that survives a
//! power cut. Whoever [`Fleet::boot`]s a fleet owns it: it is gone when the owner is, however that ends. Others
//! [`Fleet::attach`] by the file that the owner wrote, or [`Fleet::obtain`] what is there.

mod architecture;
mod distance;
mod host;
mod keys;
pub mod layers;
mod machine;
mod network;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

pub use architecture::Architecture;
pub use distance::Distance;
pub use host::{Activation, Host, Lease, count_begun, read_offline};
pub use keys::generate as generate_key;
pub use network::{Cable, controller_address};

use crate::claim::{Claim, network_name};
use crate::process;

/// Names the files of running fleets, separated as in `PATH`, for processes that should attach to one.
pub const FLEET_VARIABLE: &str = "RECONCILE_TEST_FLEET";

/// The first user's three hosts, and one more to rename, remove and break.
pub const HOSTS: [&str; 4] = ["lazyworkhorse", "cyt-pi", "uConsole", "spare"];

/// The host that is reached as two users on an odd port, and whose Nix wants signatures from those it does not trust.
const TWO_USERS: &str = "lazyworkhorse";

/// Keeps what `testbed/host/reset` restores beside the base system.
const KEEP: &str = "set -e; cd /etc; mkdir -p testbed/made; \
    cp -a --parents /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/sudoers.d /etc/nix/nix.conf testbed/made";

/// For sshd_config(5) of the test bed: the key exchange that OpenSSH prefers takes 0.2 s of a core on each side, and
/// with everything on one machine that would be most of what a login costs.
pub(crate) const CHEAP_LOGINS: &str = "KexAlgorithms curve25519-sha256\n";

/// What the file of a fleet says: JSON with these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The process id of the owner.
    pub owner: u32,
    /// The folder in which everything of this fleet is.
    pub directory: PathBuf,
    /// For `ssh -F`: the aliases of all hosts.
    pub ssh_config: PathBuf,
    /// The private key that may log in everywhere.
    pub identity: PathBuf,
    /// The hosts' public keys, by name and by address.
    pub known_hosts: PathBuf,
    /// This machine's address as the hosts see it.
    pub controller: std::net::Ipv4Addr,
    /// The hosts by name.
    pub hosts: BTreeMap<String, Host>,
}

/// Hosts that run.
#[derive(Debug)]
pub struct Fleet {
    description: Description,
    claim: Option<Claim>,
}

impl Fleet {
    /// Boots hosts, all at once, and waits until one can log in to each.
    ///
    /// # Errors
    /// When this machine lacks something ([`crate::bootstrap`]) or a host does not boot.
    pub fn boot(names: &[&str]) -> Result<Self> {
        Self::boot_as(Architecture::Native, names)
    }

    /// The same with hosts of an architecture, which are emulated where it is not this machine's own.
    ///
    /// # Errors
    /// As [`Fleet::boot`], and when this machine cannot emulate.
    pub fn boot_as(architecture: Architecture, names: &[&str]) -> Result<Self> {
        crate::bootstrap::require_root()?;
        crate::bootstrap::raise_limits()?;
        let claim = Claim::new()?;
        let directory = claim.directory();
        if architecture != Architecture::Native {
            crate::emulation::provide(&directory)?;
        }
        let layers = layers::layers(architecture)?;
        let keys = keys::make(&directory)?;
        let bridge = network::make_bridge(claim.number())?;
        let hosts: Vec<Host> = thread::scope(|scope| {
            let booting: Vec<_> = (0..)
                .zip(names)
                .map(|(index, name)| {
                    let plan = Plan {
                        number: claim.number(),
                        index,
                        name,
                        bridge: &bridge,
                        keys: &keys,
                        layers: &layers,
                        architecture,
                    };
                    scope.spawn(move || plan.boot())
                })
                .collect();
            booting
                .into_iter()
                .map(|one| one.join().map_err(|_| anyhow!("booting a host panicked"))?)
                .collect::<Result<_>>()
        })?;
        keys::write_client_files(&keys, &hosts)?;
        for host in &hosts {
            host.wait_for_login()?;
        }
        let description = Description {
            owner: std::process::id(),
            ssh_config: keys.ssh_config,
            identity: keys.identity,
            known_hosts: keys.known_hosts,
            controller: controller_address(claim.number()),
            hosts: hosts
                .into_iter()
                .map(|host| (host.name.clone(), host))
                .collect(),
            directory,
        };
        let fleet = Self {
            description,
            claim: Some(claim),
        };
        fs::write(
            fleet.file(),
            serde_json::to_string_pretty(&fleet.description)?,
        )?;
        Ok(fleet)
    }

    /// Uses a fleet that another process owns.
    ///
    /// # Errors
    /// When the file does not describe one, or its owner is gone.
    pub fn attach(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("no fleet at {}", file.display()))?;
        let description: Description = serde_json::from_slice(&text)?;
        let owner = i32::try_from(description.owner)?;
        process::started(owner)
            .with_context(|| format!("the owner of the fleet {} is gone", file.display()))?;
        Ok(Self {
            description,
            claim: None,
        })
    }

    /// Attaches to a fleet that [`FLEET_VARIABLE`] names, to each in turn, or else boots one of all [`HOSTS`], which
    /// everybody in this process shares until the last of them drops it.
    ///
    /// # Errors
    /// As [`Fleet::attach`] and [`Fleet::boot`].
    pub fn obtain() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Fleet>> = Mutex::new(Weak::new());
        static TURN: AtomicUsize = AtomicUsize::new(0);
        if let Some(files) = std::env::var_os(FLEET_VARIABLE) {
            let files: Vec<PathBuf> = std::env::split_paths(&files).collect();
            let turn = TURN.fetch_add(1, Ordering::Relaxed) % files.len();
            return Ok(Arc::new(Self::attach(&files[turn])?));
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fleet) = shared.upgrade() {
            return Ok(fleet);
        }
        let fleet = Arc::new(Self::boot(&HOSTS)?);
        *shared = Arc::downgrade(&fleet);
        Ok(fleet)
    }

    /// The file that describes this fleet.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.description.directory.join("fleet.json")
    }

    /// What that file says.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Whether the fleet ends with this value.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.claim.is_some()
    }

    /// A host by name.
    ///
    /// # Errors
    /// When the fleet has no such host.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.description
            .hosts
            .get(name)
            .with_context(|| format!("this fleet has no host {name}"))
    }

    /// As [`Fleet::host`], several.
    pub fn hosts(&self, names: &[&str]) -> Result<Vec<&Host>> {
        names.iter().map(|name| self.host(name)).collect()
    }

    /// Takes hosts for one test and resets them, all at once; see [`Host::lease`]. Taken in the order of their names, so that two tests never wait for one another for ever.
    ///
    /// # Errors
    /// When the fleet has no such host, or one cannot be reset.
    pub fn lease(&self, names: &[&str]) -> Result<Vec<Lease>> {
        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        let mut leases = BTreeMap::new();
        for name in sorted {
            leases.insert(name, self.host(name)?.lease()?);
        }
        names
            .iter()
            .map(|name| {
                leases
                    .remove(name)
                    .with_context(|| format!("{name} is asked for twice"))
            })
            .collect()
    }
}

/// Everything that decides what one new host is.
struct Plan<'a> {
    number: u8,
    index: u8,
    name: &'a str,
    bridge: &'a str,
    keys: &'a keys::Keys,
    layers: &'a [PathBuf],
    architecture: Architecture,
}

impl Plan<'_> {
    fn boot(&self) -> Result<Host> {
        let claim = self
            .keys
            .identity
            .parent()
            .context("a key without a folder")?;
        let directory = claim.join("hosts").join(self.name);
        let (upper, root) = (directory.join("upper"), directory.join("root"));
        layers::mount(self.layers, &upper, &directory.join("work"), &root)?;
        let two_users = self.name == TWO_USERS;
        let host = Host {
            name: self.name.to_owned(),
            root_alias: if two_users {
                format!("{}-admin", self.name)
            } else {
                self.name.to_owned()
            },
            worker_alias: if two_users {
                self.name.to_owned()
            } else {
                format!("{}-worker", self.name)
            },
            address: network::host_address(self.number, self.index),
            port: if two_users { 2424 } else { 22 },
            cable: Cable {
                namespace: network_name(self.number, self.name),
                veth: network_name(self.number, &format!("h{}", self.index)),
                bridge: self.bridge.to_owned(),
                mac: network::host_mac(self.number, self.index),
            },
            host_key: self.settle_in(&root)?,
            directory,
            leader: None,
            ssh_config: self.keys.ssh_config.clone(),
            base_toplevel: layers::base_toplevel(self.layers)?,
            architecture: self.architecture,
        };
        host.power_on()?;
        host.console(KEEP)?;
        Ok(Host {
            leader: host.init()?,
            ..host
        })
    }

    /// Writes what makes this host another one than the next; gives its public host key.
    fn settle_in(&self, root: &Path) -> Result<String> {
        let two_users = self.name == TWO_USERS;
        let etc = root.join("etc");
        layers::write(&etc.join("hostname"), 0o644, &format!("{}\n", self.name))?;
        // sudo looks its own host up at every call.
        layers::write(
            &etc.join("hosts"),
            0o644,
            &format!("127.0.0.1 localhost {}\n::1 localhost\n", self.name),
        )?;
        // A machine id of its own: with none, systemd would take this for the first boot and enable ssh.socket again.
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
        layers::write(&etc.join("machine-id"), 0o444, &id)?;
        let address = network::host_address(self.number, self.index);
        layers::write(
            &etc.join("testbed/address"),
            0o644,
            &format!("{address}/24\n"),
        )?;
        layers::write(
            &etc.join("testbed/authorized_keys"),
            0o644,
            &format!("{}\n", self.keys.public),
        )?;
        let port = if two_users { 2424 } else { 22 };
        layers::write(
            &etc.join("ssh/sshd_config.d/testbed.conf"),
            0o644,
            &format!(
                "Port {port}\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nHostKey /etc/ssh/ssh_host_ed25519_key\n{CHEAP_LOGINS}"
            ),
        )?;
        let nix_conf = etc.join("nix/nix.conf");
        let trust = if two_users {
            // The case that breaks copying: unsigned paths, from a user whom the Nix daemon does not trust.
            "require-sigs = true\ntrusted-users = root\n"
        } else {
            "require-sigs = false\ntrusted-users = root ai-worker\n"
        };
        layers::write(&nix_conf, 0o644, &(fs::read_to_string(&nix_conf)? + trust))?;
        let public = keys::generate(&etc.join("ssh/ssh_host_ed25519_key"), self.name)?;
        Ok(public.split(' ').take(2).collect::<Vec<_>>().join(" "))
    }
}
