//! Child processes of the test bed: run, read, fail with what they said.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::{Seen, wait_for, wait_until};

/// How much of a failed command's words an error repeats; the end is what matters.
const TAIL_BYTES: usize = 4_000;

/// How long a killed process may take to be gone; the kernel has to tear down a container's namespaces.
pub(crate) const GONE: Duration = Duration::from_secs(20);

/// A `reconcile` without what would set keys of its configuration: a test's own surroundings must not.
#[must_use]
pub fn undisturbed(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"RECONCILE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command with no standard input and returns what it wrote to standard output.
///
/// # Errors
/// When it cannot start, or exits with another code than 0: the error holds the command line and the end of its output.
pub fn run(command: &mut Command) -> Result<String> {
    let output = finish(command)?;
    if !output.status.success() {
        bail!(
            "{} ended with {}: {}",
            describe(command),
            output.status,
            said(&output)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command with no standard input to its end, whatever that is.
///
/// # Errors
/// When it cannot start.
pub fn finish(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot start {}", describe(command)))
}

/// Runs a command that is given `input` on standard input, and returns what it wrote to standard output.
///
/// # Errors
/// As [`run`].
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that ends without reading is judged by its exit code alone.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{} ended with {}: {}",
            describe(command),
            output.status,
            said(&output)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command line, for a message.
pub fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// The end of what a command said, errors first.
pub fn said(output: &Output) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    tail(text.trim_end(), TAIL_BYTES).to_owned()
}

/// The last `bytes` of a text, cut where a character begins.
pub fn tail(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// When a process started, in clock ticks since the machine did (field 22 of `/proc/<pid>/stat`, proc(5)): with
/// the process id it names one process for ever, a process id alone is used again. `None`: there is no such process, or it is a zombie.
pub fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may itself hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// Waits until a child has ended by itself; gives how.
///
/// # Errors
/// When the deadline passes.
pub fn wait_for_end(child: &mut Child, deadline: Duration) -> Result<ExitStatus> {
    wait_for("a process to end", deadline, || {
        let ended = child.try_wait()?;
        Ok(ended.map_or(Seen::NotYet("it runs"), Seen::Yes))
    })
}

/// Kills a process with SIGKILL, and waits until it is gone.
///
/// # Errors
/// When it is not gone within 20 s.
pub fn end(pid: i32) -> Result<()> {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    wait_until(
        "a killed process to be gone",
        GONE,
        || Ok(started(pid)),
        Option::is_none,
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_says_its_line_and_its_words() {
        let error = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sh -c") && error.contains("broken") && error.contains('3'),
            "{error}"
        );
    }

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_number() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(started(own).is_some());
        assert_eq!(started(own), started(own));
        assert_eq!(started(i32::MAX), None);
    }

    #[test]
    fn a_tail_begins_at_a_character() {
        assert_eq!(tail("aü", 1), "");
        assert_eq!(tail("aü", 2), "ü");
        assert_eq!(tail("aü", 9), "aü");
    }
}
