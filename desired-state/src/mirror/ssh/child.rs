//! One ssh process: its pipes as a stream for libgit2, with every wait bounded.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::call::SshCall;
use super::command;

/// How much of standard error is kept, the last of it: a screenful of warnings with room to spare.
const SAID_KEPT: usize = 16 * 1024;

/// The longest single wait: after so long the fetch notices that it was called off.
const SLICE: Duration = Duration::from_millis(200);

/// How long ssh gets to end by itself after its last output, so that its exit status and last words are had.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often an ssh that has closed its pipes is asked whether it has ended.
const ENDED_YET: Duration = Duration::from_millis(5);

/// The pipes of an ssh process, which lives as long as this value.
pub(super) struct SshStream {
    call: Arc<SshCall>,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    said: VecDeque<u8>,
    ended: bool,
}

impl SshStream {
    /// Starts ssh in a process group of its own, so that a `ProxyCommand` is ended with it.
    pub(super) fn start(call: Arc<SshCall>) -> io::Result<Self> {
        let started = start(call.command.arguments());
        let mut child = started.inspect_err(|error| {
            call.report.lock().not_started = Some(error.to_string());
        })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            end_group(&mut child);
            return Err(io::Error::other("no pipes to the process"));
        };
        // From here on, dropping the stream ends the process.
        let stream = Self {
            call,
            child,
            stdin: Some(stdin),
            stdout,
            stderr: Some(stderr),
            said: VecDeque::new(),
            ended: false,
        };
        if let Some(stdin) = &stream.stdin {
            unblock(stdin.as_fd())?;
        }
        unblock(stream.stdout.as_fd())?;
        if let Some(stderr) = &stream.stderr {
            unblock(stderr.as_fd())?;
        }
        Ok(stream)
    }

    /// Waits until the process can be read from or written to, and keeps its standard error flowing meanwhile: a
    /// process whose standard error is full stands still.
    fn wait(&mut self, direction: Direction) -> io::Result<()> {
        loop {
            let left = self.call.stop.time_left();
            if left.is_zero() {
                self.end();
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the time limit of the fetch is over",
                ));
            }
            let ready = self.poll(direction, left.min(SLICE))?;
            if ready.stderr {
                self.drain_stderr();
            }
            if ready.pipe {
                return Ok(());
            }
        }
    }

    fn poll(&self, direction: Direction, limit: Duration) -> io::Result<Ready> {
        let mut fds = Vec::with_capacity(2);
        match (direction, &self.stdin) {
            (Direction::Read, _) => fds.push(PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN)),
            (Direction::Write, Some(stdin)) => {
                fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
            }
            (Direction::Write, None) => return Err(io::ErrorKind::BrokenPipe.into()),
            (Direction::StderrOnly, _) => {}
        }
        let pipe = fds.len();
        if let Some(stderr) = &self.stderr {
            fds.push(PollFd::new(stderr.as_fd(), PollFlags::POLLIN));
        }
        // poll(2) rounds down to milliseconds: one more, or the last millisecond would spin.
        let timeout = PollTimeout::try_from(limit + Duration::from_millis(1))
            .unwrap_or(PollTimeout::from(200_u8));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // A hang-up or an error counts too: the read or write that follows says which.
        let is_ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        Ok(Ready {
            pipe: fds[..pipe].iter().any(is_ready),
            stderr: fds[pipe..].iter().any(is_ready),
        })
    }

    /// Takes what standard error holds now, and keeps the last of it.
    fn drain_stderr(&mut self) {
        let mut buffer = [0; 4096];
        while let Some(stderr) = &mut self.stderr {
            match stderr.read(&mut buffer) {
                Ok(0) => self.stderr = None,
                Ok(length) => {
                    self.said.extend(&buffer[..length]);
                    let excess = self.said.len().saturating_sub(SAID_KEPT);
                    self.said.drain(..excess);
                    if self.call.stop.time_left().is_zero() {
                        return; // One that never stops talking must not keep us here.
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.stderr = None,
            }
        }
    }

    /// Ends the process: lets it finish if there is time, kills its group in any case, and reports.
    fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.stdin = None;
        let status = self.wait_for_end();
        // Also when ssh itself has ended: a ProxyCommand of its group may live on.
        end_group(&mut self.child);
        let (front, back) = self.said.as_slices();
        let said = [front, back].concat();
        let mut report = self.call.report.lock();
        report.said = String::from_utf8_lossy(&said).into_owned();
        report.status = status;
    }

    /// Waits a little for ssh to end by itself, and gives its exit status then.
    fn wait_for_end(&mut self) -> Option<i32> {
        let until = Instant::now() + LAST_WORDS;
        loop {
            let status = exit_status(&self.child);
            self.drain_stderr();
            let left = until
                .saturating_duration_since(Instant::now())
                .min(self.call.stop.time_left());
            if status.is_some() || left.is_zero() {
                return status;
            }
            if self.stderr.is_none() {
                std::thread::sleep(ENDED_YET.min(left));
            } else if self.poll(Direction::StderrOnly, left.min(SLICE)).is_err() {
                return None;
            }
        }
    }
}

impl Read for SshStream {
    /// Reads what the server sends; at its end, ssh is seen off, so that its exit status is known.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait(Direction::Read)?;
            match self.stdout.read(buffer) {
                Ok(0) if !buffer.is_empty() => {
                    self.end();
                    return Ok(0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }
}

impl Write for SshStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            self.wait(Direction::Write)?;
            let Some(stdin) = &mut self.stdin else {
                return Err(io::ErrorKind::BrokenPipe.into());
            };
            match stdin.write(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    self.end();
                    return Err(error);
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // Nothing is buffered on this side of the pipe.
    }
}

impl Drop for SshStream {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a wait is for; standard error is watched in any case.
#[derive(Debug, Clone, Copy)]
enum Direction {
    Read,
    Write,
    StderrOnly,
}

/// What a wait ended with.
struct Ready {
    pipe: bool,
    stderr: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts a child process"
)]
fn start(arguments: &[String]) -> io::Result<Child> {
    std::process::Command::new(command::PROGRAM)
        .args(arguments)
        // Causes are recognized by their English words; git sends its own locale along with some configurations.
        .env("LC_ALL", "C")
        // ssh runs a ProxyCommand and a jump host's `ssh` by it (ssh(1), ENVIRONMENT), and the login shell of a
        // service's user is one that refuses.
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// The exit status of a process that has ended by itself; it is left for [`end_group`] to reap.
fn exit_status(child: &Child) -> Option<i32> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(pid(child)), flags) {
        Ok(WaitStatus::Exited(_, status)) => Some(status),
        _ => None,
    }
}

/// Kills the process and all of its group, and reaps it. The group is ours for certain: its leader is not reaped
/// before, so its number is not given away (credentials(7)).
fn end_group(child: &mut Child) {
    // ESRCH only says that all have ended.
    let _ = killpg(pid(child), Signal::SIGKILL);
    // The wait is short, for the process is dead; it fails only if somebody else reaped it.
    let _ = child.wait();
}

fn pid(child: &Child) -> Pid {
    // Linux gives no number above 2^22 (proc(5), pid_max).
    Pid::from_raw(child.id().try_into().unwrap_or(i32::MAX))
}

/// Makes a pipe give up instead of waiting, so that every wait is poll's.
fn unblock(pipe: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(pipe, FcntlArg::F_GETFL)?);
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
