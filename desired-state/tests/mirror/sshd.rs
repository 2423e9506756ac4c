//! A real sshd on loopback, with its own host key, users' keys and configuration.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use desired_state::{Access, Mirror};

use crate::support::{AMPLE, World, processes_with, wait_until};

/// An sshd, and all that its clients need. It ends with this value.
pub struct Sshd {
    pub world: World,
    pub port: u16,
    child: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn keygen(path: &Path, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", passphrase, "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

pub fn public(key: &Path) -> String {
    fs::read_to_string(key.with_extension("pub")).unwrap()
}

pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Sshd {
    /// Serves the source to whoever has the key.
    pub fn new() -> Self {
        Self::with_forced_command("")
    }

    /// Runs a command of the test's instead of what the client asks for.
    pub fn with_forced_command(command: &str) -> Self {
        let world = World::new();
        for key in ["host_key", "key"] {
            keygen(&world.path(key), "");
        }
        let forced = if command.is_empty() {
            String::new()
        } else {
            format!("command=\"{}\" ", command.replace('"', "\\\""))
        };
        fs::write(
            world.path("authorized_keys"),
            format!("{forced}{}", public(&world.path("key"))),
        )
        .unwrap();
        let config = format!(
            "ListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
            world.path("host_key").display(),
            world.path("authorized_keys").display(),
        );
        fs::write(world.path("sshd_config"), config).unwrap();
        // Debian's sshd wants this folder when it runs as root.
        let _ = fs::create_dir_all("/run/sshd");
        let (child, port) = (0..5).find_map(|_| start(&world)).unwrap();
        let sshd = Self { world, port, child };
        sshd.know(&sshd.world.path("host_key"));
        sshd
    }

    /// From now on, runs a command of the test's instead of what the client asks for.
    pub fn force(&self, command: &str) {
        let key = public(&self.world.path("key"));
        let line = format!("command=\"{command}\" {key}");
        fs::write(self.world.path("authorized_keys"), line).unwrap();
    }

    /// Makes a key the server's known one.
    pub fn know(&self, host_key: &Path) {
        let line = format!("[127.0.0.1]:{} {}", self.port, public(host_key));
        fs::write(self.world.path("known_hosts"), line).unwrap();
    }

    pub fn url(&self) -> String {
        let (user, port) = (user(), self.port);
        format!(
            "ssh://{user}@127.0.0.1:{port}{}",
            self.world.source().display()
        )
    }

    pub fn access(&self) -> Access {
        Access::SshKey {
            key: self.world.path("key"),
            known_hosts: Some(self.world.path("known_hosts")),
            ssh_config: None,
        }
    }

    pub fn mirror(&self) -> Mirror {
        self.mirror_within(AMPLE)
    }

    pub fn mirror_within(&self, timeout: Duration) -> Mirror {
        self.world.mirror_of(&self.url(), self.access(), timeout)
    }

    pub fn mirror_with_config(&self, url: &str, config: &str, timeout: Duration) -> Mirror {
        let ssh_config = self.world.path("ssh_config");
        fs::write(&ssh_config, config).unwrap();
        let access = Access::SshKey {
            key: self.world.path("key"),
            known_hosts: Some(self.world.path("known_hosts")),
            ssh_config: Some(ssh_config),
        };
        self.world.mirror_of(url, access, timeout)
    }

    /// The ssh processes that use this server's client key.
    pub fn clients(&self) -> usize {
        processes_with(&format!(
            "IdentityFile=\"{}",
            self.world.path("key").display()
        ))
    }
}

/// Starts sshd on a free port; another process may have taken the port meanwhile.
fn start(world: &World) -> Option<(Child, u16)> {
    let port = free_port();
    let log = world.path("sshd.log");
    let mut child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-p", &port.to_string(), "-f"])
        .arg(world.path("sshd_config"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut ended = false;
    wait_until("sshd listens", || {
        ended = child.try_wait().unwrap().is_some();
        ended
            || fs::read_to_string(&log)
                .unwrap()
                .contains("Server listening")
    });
    (!ended).then_some((child, port))
}
