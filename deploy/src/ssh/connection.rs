//! Runs commands over one connection.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openssh::{Session, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use super::error::SshError;
use super::master::Master;
use super::remote_command::{Completed, RemoteCommand};
use super::sudo;
use crate::destination::Destination;
use crate::printable::shown;

/// sshd frees a session a moment after its command's end has been told, so at its limit one more is
/// refused for that moment. A refused session ran nothing and may be asked for again.
const REFUSED_AGAIN: Duration = Duration::from_millis(50);
const REFUSED_TIMES: u32 = 40;
/// How much is read at a time.
const CHUNK: usize = 8 * 1024;

/// Every command is started through this: sshd on NixOS may give a PATH without `sudo` and the
/// system's programs, and what a program complains is read in English. Its argument vector is kept.
/// It has no quote and no backslash, so that it means the same in every login shell.
const LAUNCHER: &str = "PATH=${PATH:+$PATH:}/run/wrappers/bin:/run/current-system/sw/bin:\
/nix/var/nix/profiles/default/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin; LC_ALL=C; \
export PATH LC_ALL; exec \"$@\"";

/// A connection to a host; clones share it. It ends when the last clone is dropped and
/// [`Connections`](super::Connections) has let go of it.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) master: Arc<Master>,
    pub(super) destination: Destination,
}

/// The right to one session over a connection, for a program that uses the control socket by itself.
#[derive(Debug)]
pub(crate) struct SessionPermit(
    #[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit,
);

impl Connection {
    /// Which destination let us in.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The control socket, for `ssh -S` or `-o ControlPath=` of another program (`nix copy`), for which a
    /// session should be reserved meanwhile.
    pub fn control_socket(&self) -> &Path {
        self.master.socket()
    }

    /// Waits until one more session fits over this connection.
    pub(crate) async fn reserve_session(&self) -> Result<SessionPermit, SshError> {
        self.permit().await.map(SessionPermit)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, SshError> {
        let sessions = Arc::clone(&self.master.sessions);
        sessions.acquire_owned().await.map_err(|_| SshError::Lost {
            address: self.destination.address.clone(),
            program: "ssh".to_owned(),
        })
    }

    /// Runs a command and waits for its end.
    ///
    /// When the time is over, and when the future is dropped, the command may still run on the host;
    /// this connection is then not given out again.
    pub async fn run(&self, command: RemoteCommand) -> Result<Completed, SshError> {
        let limit = command.timeout;
        match timeout(limit, self.run_to_its_end(&command)).await {
            Ok(result) => result,
            Err(_) => Err(SshError::CommandTimedOut {
                address: self.destination.address.clone(),
                program: command.program,
                after: limit,
            }),
        }
    }

    async fn run_to_its_end(&self, command: &RemoteCommand) -> Result<Completed, SshError> {
        let lost = || SshError::Lost {
            address: self.destination.address.clone(),
            program: command.program.clone(),
        };
        let permit = self.permit().await?;
        let session = self.master.session();
        let needs_sudo = command.needs_sudo(self.destination.sudo);
        let mut remote = session.command("/bin/sh");
        remote.args(["-c", LAUNCHER, "sh"]);
        if needs_sudo {
            remote.args(["sudo", "-n", "--"]);
        }
        remote
            .arg(&command.program)
            .args(&command.arguments)
            .stdin(if command.stdin.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let under_way = UnderWay {
            master: &self.master,
            permit: Some(permit),
        };
        let mut times = 0;
        let child = loop {
            match remote
                .spawn()
                .await
                .map_err(|error| self.refused(error, command))
            {
                Ok(child) => break child,
                Err(SshError::SessionRefused { .. }) if times < REFUSED_TIMES => {
                    times += 1;
                    sleep(REFUSED_AGAIN).await;
                }
                Err(error) => {
                    under_way.ended();
                    return Err(error);
                }
            }
        };
        let result = follow(child, &command.stdin, command.output_limit).await;
        under_way.ended();
        match result {
            Ok(completed) if needs_sudo => {
                match sudo::fault(&self.destination.address, &completed) {
                    Some(fault) => Err(fault),
                    None => Ok(completed),
                }
            }
            Ok(completed) => Ok(completed),
            // The multiplexing protocol tells a command that was killed by a signal and a lost
            // connection by the same silence.
            Err(_) => Err(lost()),
        }
    }

    /// Why a command could not be started.
    fn refused(&self, error: openssh::Error, command: &RemoteCommand) -> SshError {
        let address = self.destination.address.clone();
        let words = chain(&error);
        match error {
            openssh::Error::Disconnected => SshError::Lost {
                address,
                program: command.program.clone(),
            },
            openssh::Error::SshMux(_) if words.contains("refused") => SshError::SessionRefused {
                address,
                detail: shown(&words),
            },
            // The master ended in the middle of the request.
            openssh::Error::SshMux(_) => SshError::Lost {
                address,
                program: command.program.clone(),
            },
            error => SshError::Client {
                address,
                source: io::Error::other(error),
            },
        }
    }
}

/// A command whose end is not known yet. If it is given up before its end, sshd may count its session
/// for as long as the host runs it, so the connection has one session less and is not used again.
struct UnderWay<'a> {
    master: &'a Master,
    permit: Option<OwnedSemaphorePermit>,
}

impl UnderWay<'_> {
    fn ended(mut self) {
        self.permit = None;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.forget();
            self.master.wear_out();
        }
    }
}

/// Feeds and reads a command until it ends.
async fn follow(
    mut child: openssh::Child<&Session>,
    stdin: &[u8],
    limit: usize,
) -> Result<Completed, openssh::Error> {
    let input = child.stdin().take();
    let output = child.stdout().take();
    let complaints = child.stderr().take();
    let feed = async {
        if let Some(mut input) = input {
            // A command that does not read all of its input says so by its exit code.
            let _ = input.write_all(stdin).await;
        }
        Ok(())
    };
    let (_, (stdout, stdout_is_cut), (stderr, stderr_is_cut)) = tokio::try_join!(
        feed,
        read_beginning(output, limit),
        read_beginning(complaints, limit)
    )
    .map_err(openssh::Error::ChildIo)?;
    let code = match child.wait().await {
        Ok(status) => status
            .code()
            .ok_or(openssh::Error::RemoteProcessTerminated)?,
        // What the crate makes of exit code 127.
        Err(openssh::Error::Remote(_)) => 127,
        Err(error) => return Err(error),
    };
    Ok(Completed {
        code,
        stdout,
        stderr,
        is_cut: stdout_is_cut || stderr_is_cut,
    })
}

/// Reads to the end, keeps the beginning, and tells whether there was more.
async fn read_beginning(
    source: Option<impl AsyncRead + Unpin>,
    limit: usize,
) -> io::Result<(Vec<u8>, bool)> {
    let mut kept = Vec::new();
    let mut is_cut = false;
    let Some(mut source) = source else {
        return Ok((kept, is_cut));
    };
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = source.read(&mut chunk).await?;
        if count == 0 {
            return Ok((kept, is_cut));
        }
        let room = limit - kept.len();
        is_cut |= count > room;
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        words.push_str(": ");
        words.push_str(&source.to_string());
        cause = source.source();
    }
    words
}
