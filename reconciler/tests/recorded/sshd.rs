//! An sshd on this machine for hosts that answer: whatever a host is asked, it says what `scene/answers/` has of it.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use crate::daemon::wait_until;
use crate::scene::{Scene, written};

/// Where Debian has it.
const SSHD: &str = "/usr/sbin/sshd";

/// It ends with the test.
#[derive(Debug)]
pub struct Sshd(Child);

impl Sshd {
    /// Lets in to these hosts, each with a key of its own, and tells the scene the way.
    pub fn start(scene: &Scene, hosts: &[String]) -> Self {
        let folder = scene.path("sshd");
        fs::create_dir(&folder).unwrap();
        let (address, port) = scene.sshd.split_once(':').unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let host_key = new_key(&path("host-key"));
        scene.write_secret("sshd/known_hosts", format!("answering {host_key}"));
        let mut allowed = String::new();
        for host in hosts {
            let key = new_key(&path(host));
            scene.write_secret(
                &format!("sshd/{host}.says"),
                written(&format!("answers/{host}")),
            );
            let says = path(&format!("{host}.says"));
            allowed.push_str(&format!("command=\"cat > /dev/null; cat {says}\" {key}"));
        }
        scene.write_secret("sshd/allowed", allowed);
        // A shell below another does not read what a person has in `.bashrc` (bash(1), INVOCATION).
        let config = format!(
            "ListenAddress {address}\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             MaxStartups 1000\nKexAlgorithms curve25519-sha256\nSetEnv SHLVL=2\n",
            path("host-key"),
            path("allowed"),
        );
        scene.write_secret("sshd/config", config);
        scene.write_secret(
            "ssh_config",
            format!(
                "Match originalhost {}\n    HostName {address}\n    Port {port}\n    HostKeyAlias answering\n    \
                 UserKnownHostsFile {}\n    IdentitiesOnly yes\n    IdentityFile {}\n{}",
                hosts.join(","),
                path("known_hosts"),
                path("%n"),
                written("ssh_config")
            ),
        );
        // Debian's sshd wants this folder when it runs as root.
        let _ = fs::create_dir_all("/run/sshd");
        let log = scene.path("sshd/log");
        let mut sshd = Command::new(SSHD);
        sshd.args(["-D", "-e", "-f"])
            .arg(path("config"))
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap());
        let sshd = Self(sshd.spawn().unwrap());
        wait_until("sshd listens", || {
            let said = fs::read_to_string(&log).unwrap();
            said.contains("Server listening").then_some(())
        });
        sshd
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes a key; gives its public half.
fn new_key(path: &str) -> String {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", path]);
    assert!(keygen.status().unwrap().success());
    fs::read_to_string(format!("{path}.pub")).unwrap()
}
