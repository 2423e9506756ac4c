//! git over SSH as Gitea offers it: an sshd on loopback that does nothing but serve repositories to a deploy key.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::claim::record_process;
use crate::fleet::{CHEAP_LOGINS, generate_key};
use crate::wait::wait_until;

/// How long sshd may take to listen.
const LISTENING: Duration = Duration::from_secs(10);

/// Serves one request, as Gitea's `serv` does: the path is taken from git's command line, fetching is all that a deploy key may do.
const SERVE: &str = r#"#!/bin/sh
set -eu
case ${SSH_ORIGINAL_COMMAND-} in
  "git-upload-pack '"*"'") ;;
  "git-receive-pack '"*"'")
    echo "Gitea: Deploy Key is not authorized to write to this repository." >&2
    exit 1
    ;;
  *)
    echo "Hi there! You've successfully authenticated with the deploy key, but Gitea does not provide shell access." >&2
    exit 1
    ;;
esac
path=${SSH_ORIGINAL_COMMAND#*\'}
path=${path%\'}
path=${path#/}
case $path in
  *..*) path= ;;
  *.git) ;;
  *) path=$path.git ;;
esac
if [ -z "$path" ] || [ ! -d "@repositories@/$path" ]; then
  echo "Gitea: Cannot find repository: $path" >&2
  exit 1
fi
exec git-upload-pack "@repositories@/$path"
"#;

/// A running sshd.
#[derive(Debug)]
pub(super) struct GitServer {
    pub port: u16,
    pub deploy_key: PathBuf,
    pub known_hosts: PathBuf,
    folder: PathBuf,
    claim: PathBuf,
    pid: u32,
}

impl GitServer {
    /// Starts it in a folder of a claim.
    pub fn start(claim: &Path, repositories: &Path) -> Result<Self> {
        let folder = claim.join("sshd");
        fs::create_dir_all(&folder)?;
        // What Debian's ssh.service makes; sshd refuses to start as root without it.
        fs::create_dir_all("/run/sshd")?;
        let host_key = generate_key(&folder.join("host_key"), "forge")?;
        let deploy_key = folder.join("deploy_key");
        let public = generate_key(&deploy_key, "deploy")?;
        let serve = folder.join("serve");
        crate::fleet::layers::write(
            &serve,
            0o755,
            &SERVE.replace("@repositories@", &repositories.display().to_string()),
        )?;
        fs::write(
            folder.join("authorized_keys"),
            format!("command=\"{}\",restrict {public}\n", serve.display()),
        )?;
        let port = free_port()?;
        let key = host_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let known_hosts = folder.join("known_hosts");
        fs::write(&known_hosts, format!("[127.0.0.1]:{port} {key}\n"))?;
        let at = folder.display();
        fs::write(
            folder.join("sshd_config"),
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_key\nAuthorizedKeysFile {at}/authorized_keys\n\
                 PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
                 MaxStartups 100\n{CHEAP_LOGINS}"
            ),
        )?;
        let mut server = Self {
            port,
            deploy_key,
            known_hosts,
            folder,
            claim: claim.to_path_buf(),
            pid: 0,
        };
        server.listen()?;
        Ok(server)
    }

    /// Starts sshd, on the port that it had before if it was stopped.
    pub fn listen(&mut self) -> Result<()> {
        let log = self.folder.join("log");
        let _ = fs::remove_file(&log);
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f"])
            .arg(self.folder.join("sshd_config"))
            .arg("-E")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sshd")?;
        self.pid = child.id();
        record_process(&self.claim, self.pid)?;
        std::thread::spawn(move || child.wait());
        wait_until(
            "the forge's sshd to listen",
            LISTENING,
            || Ok(fs::read_to_string(&log).unwrap_or_default()),
            |log| log.contains("Server listening"),
        )?;
        Ok(())
    }

    /// Ends it: fetches are refused until it listens again.
    pub fn stop(&mut self) -> Result<()> {
        let pid = i32::try_from(self.pid)?;
        crate::process::end(pid)
    }
}

/// A port of loopback that nobody listens on just now.
///
/// # Errors
/// When the machine has none left.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
