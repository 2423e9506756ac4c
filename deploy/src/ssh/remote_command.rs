//! A command for a host, and what it did.

use std::borrow::Cow;
use std::time::Duration;

use crate::destination::Sudo;
use crate::printable::shown;

/// A command that is not given a time of its own may take this long: enough for anything that only
/// reads, on a slow host.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// A command that is not given a limit of its own may print this much.
const DEFAULT_OUTPUT_LIMIT: usize = 256 * 1024;

/// As whom a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// The user that logged in.
    Login,
    /// root: by `sudo -n` where the destination says so, else the user that logged in, who is root.
    Root,
}

/// A command for a host: a program and its arguments, never a line for a shell.
#[derive(Debug, Clone)]
pub struct RemoteCommand {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) stdin: Vec<u8>,
    privilege: Privilege,
    pub(super) timeout: Duration,
    pub(super) output_limit: usize,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Its exit code; 127 if there is no such program.
    pub code: i32,
    /// The first part of what it printed, see [`RemoteCommand::output_limit`].
    pub stdout: Vec<u8>,
    /// The first part of what it complained.
    pub stderr: Vec<u8>,
    /// Whether it printed or complained more than that.
    pub is_cut: bool,
}

impl Completed {
    /// What it printed.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// What it complained, as it may be shown: bounded, in one line, control characters escaped.
    pub fn complaint(&self) -> String {
        shown(&String::from_utf8_lossy(&self.stderr))
    }
}

impl RemoteCommand {
    /// A program, by name or absolute path.
    pub fn new(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            arguments: Vec::new(),
            stdin: Vec::new(),
            privilege: Privilege::Login,
            timeout: DEFAULT_TIMEOUT,
            output_limit: DEFAULT_OUTPUT_LIMIT,
        }
    }

    /// Adds arguments, which no shell interprets.
    pub fn arguments<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// Gives the command something to read; else its input is empty.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// As whom it runs; [`Privilege::Login`] unless told.
    pub fn privilege(mut self, privilege: Privilege) -> Self {
        self.privilege = privilege;
        self
    }

    /// How long it may take, with the wait for a free session; 30 s unless told.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many bytes each of its output and its complaints are kept, the first ones; 256 KiB unless
    /// told.
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Whether it is run by `sudo` at a destination.
    pub(super) fn needs_sudo(&self, sudo: Sudo) -> bool {
        self.privilege == Privilege::Root && sudo != Sudo::No
    }
}
