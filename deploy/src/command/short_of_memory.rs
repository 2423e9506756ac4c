//! Who is ended when the machine is short of memory.

use nix::unistd::Pid;

/// Which process the kernel should end when the machine is short of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShortOfMemory {
    /// None rather than another: whichever uses the most.
    LikeOurselves,
    /// This command before ourselves: it may well be what uses all of the memory, and can be run again.
    EndItFirst,
}

/// How much likelier such a command is made to be ended: as if it used three tenths of all memory more
/// (proc_pid_oom_score_adj(5)).
const LIKELIER: i32 = 300;
/// The highest that there is.
const MOST: i32 = 1000;

/// Has the kernel end this process and what it starts before us. What cannot be written is as it was.
pub(super) fn end_first(process: Pid) {
    let ours = std::fs::read_to_string("/proc/self/oom_score_adj")
        .ok()
        .and_then(|text| text.trim().parse::<i32>().ok())
        .unwrap_or_default();
    let adjustment = (ours + LIKELIER).min(MOST).to_string();
    if let Err(error) = std::fs::write(format!("/proc/{process}/oom_score_adj"), adjustment) {
        tracing::debug!(%process, %error, "cannot have it ended before us when memory runs out");
    }
}
