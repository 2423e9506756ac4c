//! One login: an OpenSSH master process, over which commands are multiplexed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use openssh::Session;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::login_fault::LoginFault;
use super::settings::SshSettings;
use crate::command::{Command, CommandError};
use crate::destination::Destination;

/// How long a master outlives this process when that is killed (`ControlPersist`). As long as we live it
/// is never idle in OpenSSH's eyes, because we stay connected to its control socket.
const OUTLIVES_US: Duration = Duration::from_secs(10);
/// A link that is silent for three times this is dead (`ServerAliveInterval`, and `ServerAliveCountMax`, which is
/// 3 unless the user's file says otherwise, of ssh_config(5)): 15 s, less than any wait of ours, more than a busy
/// host's pause.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a healthy master may take to answer on its local socket.
const LOCAL_ANSWER: Duration = Duration::from_secs(2);
/// The folder of one master begins so; the name is short because a socket's address is.
const FOLDER_PREFIX: &str = "s";
/// The name that the `openssh` crate gives to the control socket in its folder.
const SOCKET_NAME: &str = "master";
/// The longest path of a control socket: `sun_path` has 108 bytes (unix(7)), one is the final NUL, and
/// `ssh` binds a name that is 17 longer first (OpenSSH, mux.c, `muxserver_listen`).
const MAX_SOCKET_PATH: usize = 108 - 1 - 17;
/// A folder without a listening socket is swept when it is older than any login can take.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);

/// A logged-in `ssh` in the background, and its control socket.
#[derive(Debug)]
pub(super) struct Master {
    /// Dropping it ends the process, also while a command that was given up still runs on the host.
    session: Session,
    /// Keeps the process from ending by itself (OpenSSH, channels.c, `channel_still_open`).
    _presence: UnixStream,
    socket: PathBuf,
    /// One permit for each command that may run at once.
    pub(super) sessions: Arc<Semaphore>,
    /// A command was given up while it ran, so sshd may count its session for ever: not used again.
    worn: AtomicBool,
}

impl Master {
    /// Logs in. The process that does it is ended when this future is dropped.
    pub(super) async fn log_in(
        settings: &SshSettings,
        destination: &Destination,
        limit: Duration,
    ) -> Result<Self, LoginFault> {
        destination.check()?;
        let folder = folder(&settings.control_directory)?;
        let socket = folder.path().join(SOCKET_NAME);
        if socket.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(LoginFault::ControlPathTooLong(socket.display().to_string()));
        }
        let deadline = Instant::now() + limit;
        let keep_alive = keep_alive(settings, destination, limit).await;
        let left = deadline.saturating_duration_since(Instant::now());
        let mut command = Command::new("ssh", left)
            .arguments(arguments(settings, &socket, limit, keep_alive))
            .arguments(["--", &destination.address]);
        // A jump host's `ssh` has no BatchMode; without these it asks on the terminal of whoever
        // started us (ssh(1), ENVIRONMENT).
        command.environment = vec![
            ("SSH_ASKPASS".into(), Some("false".into())),
            ("SSH_ASKPASS_REQUIRE".into(), Some("force".into())),
        ];
        match command.run().await {
            Ok(finished) if finished.status.success() => Ok(Self {
                _presence: UnixStream::connect(&socket).await.map_err(|source| {
                    LoginFault::Local {
                        step: "cannot connect to the control socket",
                        source,
                    }
                })?,
                session: Session::new_native_mux(folder),
                socket,
                sessions: Arc::new(Semaphore::new(settings.max_sessions.max(1))),
                worn: AtomicBool::new(false),
            }),
            Ok(finished) => Err(LoginFault::read(&finished.stderr, limit)),
            Err(CommandError::NotFound { .. }) => Err(LoginFault::ClientMissing),
            Err(CommandError::TimedOut { stderr, .. }) => {
                Err(LoginFault::read_unfinished(&stderr, limit))
            }
            Err(CommandError::Start { source, .. } | CommandError::Follow { source, .. }) => {
                Err(LoginFault::Local {
                    step: "cannot run the OpenSSH client `ssh`",
                    source,
                })
            }
            Err(CommandError::TooMuchOutput { .. }) => Err(LoginFault::Other(
                "ssh printed without end instead of logging in".to_owned(),
            )),
        }
    }

    /// The control socket.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The session to run commands over.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether it can be used again: the process answers, and no session of it is lost.
    pub(super) async fn is_alive(&self) -> bool {
        !self.worn.load(Ordering::Relaxed)
            && matches!(
                timeout(LOCAL_ANSWER, self.session.check()).await,
                Ok(Ok(()))
            )
    }

    /// Keeps it from being used again.
    pub(super) fn wear_out(&self) {
        self.worn.store(true, Ordering::Relaxed);
    }
}

/// Who says how long a silent link is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeepAlive {
    /// The user's file does not.
    Ours,
    /// The user's file: a slow link with deep queues is silent for longer than ours.
    Users,
}

/// Asks `ssh` what the user's file says of this destination. Where it does not tell, the login will say why.
async fn keep_alive(
    settings: &SshSettings,
    destination: &Destination,
    limit: Duration,
) -> KeepAlive {
    let asking = Command::new("ssh", limit)
        .arguments(config(settings))
        // Debian's `ssh` has a default of its own where it is `yes`.
        .arguments(["-o", "BatchMode=no", "-G", "--", &destination.address]);
    let Ok(finished) = asking.run().await else {
        return KeepAlive::Ours;
    };
    let is_set = String::from_utf8_lossy(&finished.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("serveraliveinterval "))
        .any(|seconds| seconds.trim() != "0");
    if is_set {
        KeepAlive::Users
    } else {
        KeepAlive::Ours
    }
}

/// The user's file, if it is not where `ssh` looks by itself.
fn config(settings: &SshSettings) -> Vec<OsString> {
    match &settings.config_file {
        Some(file) => vec!["-F".into(), file.into()],
        None => Vec::new(),
    }
}

/// The arguments of a master, without the destination: the user's own configuration, except for what
/// a program without a person at the terminal needs.
fn arguments(
    settings: &SshSettings,
    socket: &Path,
    limit: Duration,
    keep_alive: KeepAlive,
) -> Vec<OsString> {
    let mut arguments = config(settings);
    // -M -S: its own new connection, whatever ControlPath the user's file names.
    // -f -N: to the background once logged in, without a command.
    arguments.extend(["-M", "-S"].map(Into::into));
    arguments.push(socket.into());
    arguments.extend(["-f", "-N", "-T"].map(Into::into));
    for option in [
        format!("ControlPersist={}", OUTLIVES_US.as_secs()),
        "BatchMode=yes".to_owned(),
        // The user's file may say `no`; nobody is there to compare a key.
        "StrictHostKeyChecking=yes".to_owned(),
        format!("ConnectTimeout={}", limit.as_secs_f64().ceil().max(1.0)),
        // A forwarding that a person configured for himself would end the login when its port is taken.
        "ClearAllForwardings=yes".to_owned(),
        "PermitLocalCommand=no".to_owned(),
        "RemoteCommand=none".to_owned(),
        // QUIET in the user's file would hide why a login failed.
        "LogLevel=INFO".to_owned(),
    ] {
        arguments.push("-o".into());
        arguments.push(option.into());
    }
    if keep_alive == KeepAlive::Ours {
        arguments.push("-o".into());
        arguments.push(format!("ServerAliveInterval={}", KEEP_ALIVE.as_secs()).into());
    }
    arguments
}

/// A new folder for one control socket, which only we can enter.
fn folder(directory: &Path) -> Result<TempDir, LoginFault> {
    create(directory)
        .and_then(|()| {
            tempfile::Builder::new()
                .prefix(FOLDER_PREFIX)
                .tempdir_in(directory)
        })
        .map_err(|source| LoginFault::Local {
            step: "cannot make a folder for the control socket",
            source,
        })
}

/// Makes the control directory for us alone.
fn create(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Removes the folders of masters that have ended although nobody removed them: this process was
/// killed before. What cannot be read or removed is left for the next time.
pub(super) fn sweep(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_ours = entry
            .file_name()
            .to_string_lossy()
            .starts_with(FOLDER_PREFIX);
        let is_old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|modified| {
                SystemTime::now()
                    .duration_since(modified)
                    .is_ok_and(|age| age > ABANDONED_AFTER)
            });
        let answers =
            std::os::unix::net::UnixStream::connect(entry.path().join(SOCKET_NAME)).is_ok();
        if is_ours && is_old && !answers {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Sudo;

    #[tokio::test]
    async fn what_the_users_file_says_of_keepalives_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ssh_config");
        std::fs::write(
            &file,
            "Host slow\nServerAliveInterval 60\nServerAliveCountMax 10\nHost counted\nServerAliveCountMax 10\n\
             BatchMode yes\n",
        )
        .unwrap();
        let settings = SshSettings {
            config_file: Some(file),
            control_directory: folder.path().into(),
            connect_timeout: Duration::from_secs(20),
            max_sessions: 1,
        };
        for (address, keep_alive_of, is_ours) in [
            ("slow", KeepAlive::Users, false),
            ("ssh://root@slow:2222", KeepAlive::Users, false),
            ("counted", KeepAlive::Ours, true),
            ("other", KeepAlive::Ours, true),
        ] {
            let destination = Destination::new(address, Sudo::No).unwrap();
            let said = keep_alive(&settings, &destination, settings.connect_timeout).await;
            assert_eq!(said, keep_alive_of, "{address}");
            let words = arguments(&settings, Path::new("/s"), settings.connect_timeout, said);
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            assert_eq!(
                words.iter().any(|word| word == "ServerAliveInterval=5"),
                is_ours,
                "{address}"
            );
            assert!(!words.iter().any(|word| word.contains("CountMax")));
        }
    }
}
