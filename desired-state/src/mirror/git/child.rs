//! A git process: started, heard, and ended with everything that it has started.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{ChildStderr, ChildStdout};

use super::environment::{AUTHORITIES, is_dropped};
use super::said::{Moved, Said};
use crate::mirror::stop::Stop;

/// The most that git prints: 64 MB are half a million branches.
const PRINTED: usize = 64 * 1024 * 1024;

/// The longest single wait: after so long a fetch notices that it was called off, or that git has ended and left
/// somebody behind who holds its pipes.
const SLICE: Duration = Duration::from_millis(100);

/// A git that has ended by itself.
#[derive(Debug)]
pub(in crate::mirror) struct Ended {
    pub(in crate::mirror) is_success: bool,
    pub(in crate::mirror) printed: Vec<u8>,
    pub(in crate::mirror) said: Said,
}

/// Why git did not come to its end.
#[derive(Debug)]
pub(in crate::mirror) enum Failed {
    /// It could not be started, or not be heard.
    NotRun(io::Error),
    /// It was silent for too long, or called off.
    Stopped(Said),
}

/// Runs git in a folder until it ends or has to. To be called on a thread that may block, of a tokio runtime.
pub(in crate::mirror) fn run(
    directory: &Path,
    arguments: &[&str],
    environment: Vec<(String, String)>,
    stop: &Stop,
) -> Result<Ended, Failed> {
    let mut command = command(directory, arguments);
    command.envs(environment);
    let runtime = tokio::runtime::Handle::current();
    runtime.block_on(async {
        let mut git = Group {
            child: command.spawn().map_err(Failed::NotRun)?,
            is_reaped: false,
        };
        follow(&mut git, stop).await
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts git")]
fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    for (variable, value) in std::env::vars_os() {
        if is_dropped(&variable) {
            command.env_remove(&variable);
        }
        if let Some((_, gits)) = AUTHORITIES.iter().find(|(name, _)| variable == *name) {
            command.env(gits, value);
        }
    }
    command
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Of its own, so that ssh and a ProxyCommand are ended with it.
        .process_group(0);
    command
}

async fn follow(git: &mut Group, stop: &Stop) -> Result<Ended, Failed> {
    let no_pipes = || Failed::NotRun(io::Error::other("no pipes to the process"));
    let stdout = git.child.stdout.take().ok_or_else(no_pipes)?;
    let stderr = git.child.stderr.take().ok_or_else(no_pipes)?;
    let mut stdout = Some(ChildStdout::from_std(stdout).map_err(Failed::NotRun)?);
    let mut stderr = Some(ChildStderr::from_std(stderr).map_err(Failed::NotRun)?);
    let (mut printed, mut said) = (Vec::new(), Said::default());
    let (mut out, mut err) = ([0; 8192], [0; 8192]);
    let mut had_ended = false;
    while stdout.is_some() || stderr.is_some() {
        if stop.is_over() {
            said.end();
            return Err(Failed::Stopped(said));
        }
        tokio::select! {
            biased;
            length = read(&mut stdout, &mut out) => {
                let room = PRINTED.saturating_sub(printed.len());
                printed.extend(&out[..length.min(room)]);
            }
            length = read(&mut stderr, &mut err) => {
                if said.hear(&err[..length]) == Moved::Yes {
                    stop.moved();
                }
            }
            () = tokio::time::sleep(SLICE.min(stop.time_left())) => {
                // Seen twice, with a silence between: its last words have been read.
                if had_ended {
                    break;
                }
                had_ended = git.has_ended();
            }
        }
    }
    said.end();
    Ok(Ended {
        is_success: git.end().map_err(Failed::NotRun)?,
        printed,
        said,
    })
}

/// Reads what is there; a pipe that is at its end is closed, and never ready again.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    let Some(open) = pipe else {
        return std::future::pending().await;
    };
    // A pipe that cannot be read has ended as well.
    let length = open.read(buffer).await.unwrap_or(0);
    if length == 0 {
        *pipe = None;
    }
    length
}

/// A process and all of its group; none of them outlives this value.
struct Group {
    child: Child,
    is_reaped: bool,
}

impl Group {
    /// Whether it has ended; it is left to be reaped, so that its number is not given away (credentials(7)).
    fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        matches!(
            waitid(Id::Pid(self.pid()), flags),
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
        )
    }

    /// Sees it off once its pipes are closed, and tells whether it succeeded.
    fn end(&mut self) -> io::Result<bool> {
        let _ = waitid(
            Id::Pid(self.pid()),
            WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
        );
        self.kill().map(|status| status.success())
    }

    /// Kills what is left of the group, and reaps git. Also where git itself has ended: a `ProxyCommand` of its group
    /// may live on.
    fn kill(&mut self) -> io::Result<ExitStatus> {
        // ESRCH only says that all have ended.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        self.is_reaped = true;
        self.child.wait()
    }

    fn pid(&self) -> Pid {
        // Linux gives no number above 2^22 (proc(5), pid_max).
        Pid::from_raw(self.child.id().try_into().unwrap_or(i32::MAX))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_reaped {
            let _ = self.kill();
        }
    }
}
