//! What the time limit of a command is a limit of.

use nix::unistd::Pid;

/// What the time limit of a command is a limit of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// All that it does.
    Whole,
    /// The time in which it writes nothing: one that goes on writing may take as long as it needs.
    Silence,
}

/// A look at what a process writes.
pub(super) struct Watch {
    process: Pid,
    patience: Patience,
    written: u64,
}

impl Watch {
    pub(super) fn over(process: Pid, patience: Patience) -> Self {
        Self {
            process,
            patience,
            written: 0,
        }
    }

    /// Whether it may go on at its limit: it has written something since the last time that this was asked.
    pub(super) fn may_go_on(&mut self) -> bool {
        if self.patience == Patience::Whole {
            return false;
        }
        let written = written_by(self.process).unwrap_or(self.written);
        let goes_on = written > self.written;
        self.written = written;
        goes_on
    }
}

/// How many bytes it has written, to whatever (proc_pid_io(5), `wchar`).
fn written_by(process: Pid) -> Option<u64> {
    let counts = std::fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    let written = counts
        .lines()
        .find_map(|line| line.strip_prefix("wchar: "))?;
    written.trim().parse().ok()
}
