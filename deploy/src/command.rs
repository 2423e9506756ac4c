//! The only place that starts a child process on this machine.
//!
//! A command runs in a process group of its own, with bounded output and a time limit. When the limit
//! is reached, and when the future is dropped, the whole group is ended: first asked (SIGTERM, so that
//! Nix ends its builders, which have groups of their own), then killed.

mod output;
mod patience;
mod short_of_memory;

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ::nix::errno::Errno;
use ::nix::sys::signal::{Signal, killpg};
use ::nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use ::nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use output::{Tail, read_tail, read_whole};
pub(crate) use patience::Patience;
use patience::Watch;
pub(crate) use short_of_memory::ShortOfMemory;

/// How long a group that was asked to end may take. Nix needs some tens of milliseconds to end its
/// builders; what has not ended after this does not want to.
const GRACE: Duration = Duration::from_secs(2);
/// How often a group that was asked to end is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long output is still read after the command itself has ended. Only a descendant that left the
/// command behind (an SSH master that stays) holds the pipes open for longer.
const DRAIN: Duration = Duration::from_millis(300);
/// Standard output beyond this is an error: an evaluation of a thousand hosts is a third of it.
const DEFAULT_STDOUT_LIMIT: usize = 1024 * 1024;
/// The last part of standard error that is kept: the error is at the end, the build log before it.
const DEFAULT_STDERR_LIMIT: usize = 64 * 1024;

/// A command to run, with its limits.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub(crate) program: OsString,
    /// The arguments, without the program's name.
    pub(crate) arguments: Vec<OsString>,
    /// Variables set in (or, with `None`, removed from) the environment that this process has.
    pub(crate) environment: Vec<(OsString, Option<OsString>)>,
    /// What standard input says; if empty, it is `/dev/null`.
    pub(crate) stdin: Vec<u8>,
    /// After this the whole process group is ended.
    pub(crate) timeout: Duration,
    /// Whether that is for all that it does, or for each silence.
    pub(crate) patience: Patience,
    /// More bytes than this on standard output end the command with an error.
    pub(crate) stdout_limit: usize,
    /// Of standard error, this many bytes are kept: the last ones.
    pub(crate) stderr_limit: usize,
    /// Whom the kernel should end when the machine is short of memory.
    pub(crate) short_of_memory: ShortOfMemory,
}

/// How a command ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code, or the signal.
    pub(crate) status: ExitStatus,
    /// All of standard output.
    pub(crate) stdout: Vec<u8>,
    /// The end of standard error, safe to print.
    pub(crate) stderr: String,
}

/// Why a command has no end of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// There is no such program.
    #[error("`{program}` is not installed, or PATH lacks its directory")]
    NotFound {
        /// The program.
        program: String,
    },
    /// The program cannot be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The time limit was reached.
    #[error("`{program}` was ended because it took longer than {after:?}")]
    TimedOut {
        /// The program.
        program: String,
        /// The limit.
        after: Duration,
        /// What it was a limit of.
        patience: Patience,
        /// The end of standard error until then, safe to print.
        stderr: String,
    },
    /// Standard output is larger than the limit.
    #[error("`{program}` was ended because it printed more than {limit} bytes")]
    TooMuchOutput {
        /// The program.
        program: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// Reading its output or waiting for it failed.
    #[error("cannot follow `{program}`")]
    Follow {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Command {
    /// A command without arguments and input, with the default limits.
    pub(crate) fn new(program: impl Into<OsString>, timeout: Duration) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            stdin: Vec::new(),
            timeout,
            patience: Patience::Whole,
            stdout_limit: DEFAULT_STDOUT_LIMIT,
            stderr_limit: DEFAULT_STDERR_LIMIT,
            short_of_memory: ShortOfMemory::LikeOurselves,
        }
    }

    /// Appends arguments.
    pub(crate) fn arguments<A: AsRef<OsStr>>(
        mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// Runs it to its end, whatever its exit code. Dropping the future ends the whole group.
    pub(crate) async fn run(&self) -> Result<Finished, CommandError> {
        let mut deadline = Instant::now() + self.timeout;
        let program = || self.program.to_string_lossy().into_owned();
        let follow = |source| CommandError::Follow {
            program: program(),
            source,
        };
        let mut group = Group::start(self).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CommandError::NotFound { program: program() },
            _ => CommandError::Start {
                program: program(),
                source,
            },
        })?;

        let mut stdout = Vec::new();
        let mut stderr = Tail::new(self.stderr_limit);
        let mut watch = Watch::over(group.number, self.patience);
        let ended = {
            let following = group.follow(&self.stdin, &mut stdout, self.stdout_limit, &mut stderr);
            tokio::pin!(following);
            loop {
                match timeout_at(deadline, &mut following).await {
                    Err(_) if watch.may_go_on() => deadline += self.timeout,
                    ended => break ended,
                }
            }
        };
        match ended {
            Ok(Ok(Followed::Ended(status))) => Ok(Finished {
                status,
                stdout,
                stderr: stderr.text(),
            }),
            Ok(Ok(Followed::TooMuch)) => {
                group.end().await;
                Err(CommandError::TooMuchOutput {
                    program: program(),
                    limit: self.stdout_limit,
                })
            }
            Ok(Err(source)) => {
                group.end().await;
                Err(follow(source))
            }
            Err(_) => {
                group.end().await;
                Err(CommandError::TimedOut {
                    program: program(),
                    after: self.timeout,
                    patience: self.patience,
                    stderr: stderr.text(),
                })
            }
        }
    }
}

/// How following a command ended.
enum Followed {
    Ended(ExitStatus),
    TooMuch,
}

/// A running process group and its leader, which is reaped only after the group was ended: as long as
/// the leader is not reaped, no other group can have its number.
struct Group {
    child: Option<Child>,
    number: Pid,
}

impl Group {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn start(command: &Command) -> io::Result<Self> {
        let mut building = tokio::process::Command::new(&command.program);
        building
            .args(&command.arguments)
            // As in a service: where a person stands may be a folder that Nix, or the user that we are, cannot enter.
            .current_dir("/")
            // ssh runs a ProxyCommand, a jump host's `ssh` and what `Match exec` names by it (ssh(1), ENVIRONMENT),
            // and the login shell of a service's user is one that refuses.
            .env("SHELL", "/bin/sh")
            .process_group(0)
            .stdin(if command.stdin.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &command.environment {
            match value {
                Some(value) => building.env(name, value),
                None => building.env_remove(name),
            };
        }
        let child = building.spawn()?;
        let number = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the new process has no number"))?;
        if command.short_of_memory == ShortOfMemory::EndItFirst {
            short_of_memory::end_first(number);
        }
        Ok(Self {
            child: Some(child),
            number,
        })
    }

    /// Feeds and reads the command until it ends.
    async fn follow(
        &mut self,
        stdin: &[u8],
        stdout: &mut Vec<u8>,
        stdout_limit: usize,
        stderr: &mut Tail,
    ) -> io::Result<Followed> {
        let Some(child) = self.child.as_mut() else {
            return Err(io::Error::other("the process has been reaped"));
        };
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feeding = async {
            if let Some(mut input) = input {
                // A command that does not read all of its input says so by its exit code.
                let _ = input.write_all(stdin).await;
            }
            Ok(())
        };
        let reading = async {
            tokio::try_join!(
                feeding,
                read_whole(output, stdout, stdout_limit),
                read_tail(errors, stderr)
            )
        };
        tokio::pin!(reading);
        let status = tokio::select! {
            read = &mut reading => match read {
                Ok(_) => child.wait().await?,
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => return Ok(Followed::TooMuch),
                Err(error) => return Err(error),
            },
            status = child.wait() => {
                let status = status?;
                match timeout(DRAIN, reading).await {
                    Ok(Err(error)) if error.kind() == io::ErrorKind::OutOfMemory => return Ok(Followed::TooMuch),
                    Ok(Err(error)) => return Err(error),
                    Ok(Ok(_)) | Err(_) => status,
                }
            }
        };
        // It has been reaped: its number is no longer ours to signal.
        self.child = None;
        Ok(Followed::Ended(status))
    }

    /// Asks the whole group to end, and kills it if it does not.
    async fn end(&mut self) {
        if let Some(child) = self.child.take() {
            Doomed {
                child,
                number: self.number,
            }
            .end()
            .await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else {
            return;
        };
        let doomed = Doomed {
            child,
            number: self.number,
        };
        // Without a runtime there is nobody to wait for the grace: `doomed` is dropped, and so killed.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(doomed.end());
        }
    }
}

/// A group that is being ended. Dropping it kills the group at once.
struct Doomed {
    child: Child,
    number: Pid,
}

impl Doomed {
    async fn end(mut self) {
        // Once it has been reaped the number may be another's.
        if self.child.id().is_none() {
            return;
        }
        signal(self.number, Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while !self.leader_has_ended() && Instant::now() < deadline {
            sleep(LOOK_AGAIN).await;
        }
        // Also after a leader that ended in time: others in its group may not have.
        signal(self.number, Signal::SIGKILL);
        // Cannot fail in a way that matters: the child is dead, and only its entry remains.
        let _ = self.child.wait().await;
    }

    /// Looks without reaping.
    fn leader_has_ended(&self) -> bool {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(
            waitid(Id::Pid(self.number), look),
            Ok(WaitStatus::StillAlive)
        )
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        // `id` is None once it has been reaped, and then the number may be another's.
        if self.child.id().is_some() {
            signal(self.number, Signal::SIGKILL);
        }
    }
}

/// Signals a whole group; one that has already ended is fine.
fn signal(group: Pid, signal: Signal) {
    if let Err(errno) = killpg(group, signal)
        && errno != Errno::ESRCH
    {
        tracing::warn!(%group, %signal, %errno, "cannot signal a process group");
    }
}

#[cfg(test)]
mod tests;
