//! Runs what checks a signature: bounded, and without the configuration of whoever runs us.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::shown::shown;

/// Checking takes some milliseconds; a machine that swaps takes seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// They say a few lines, and one for each principal of a key.
const OUTPUT_LIMIT: u64 = 64 * 1024;
/// How much of what they say is shown, in characters.
const SHOWN: usize = 300;

/// Why a signature could not be checked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    /// The signature could not be written to a file for the program.
    #[error("cannot write a temporary file: {0}")]
    Scratch(#[source] io::Error),
    /// The program could not be run.
    #[error("cannot run `{program}` ({source}); install {package}, or put it on the PATH")]
    NotRun {
        /// The program.
        program: &'static str,
        /// What has it.
        package: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("`{program}` has not ended within {LIMIT:?}")]
    TimedOut {
        /// The program.
        program: &'static str,
    },
    /// The file of signers cannot be used.
    #[error("{file} cannot be used ({said}); correct it", file = .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the program said.
        said: String,
    },
}

/// What a program said.
#[derive(Debug)]
pub(super) struct Said {
    status: ExitStatus,
    pub(super) stdout: String,
    stderr: String,
}

impl Said {
    /// Whether it ended with 0.
    pub(super) fn yes(&self) -> bool {
        self.status.success()
    }

    /// The first line of its complaint, which has the cause, as it may be shown.
    pub(super) fn complaint(&self) -> String {
        let first = self.stderr.lines().find(|line| !line.trim().is_empty());
        shown_line(first.unwrap_or_default())
    }
}

/// A line of a program, as it may be shown.
pub(super) fn shown_line(said: &str) -> String {
    shown(said.trim(), SHOWN)
}

/// A file with that content, for us alone, until it is dropped.
pub(super) fn scratch(content: &[u8]) -> Result<tempfile::NamedTempFile, ProgramError> {
    use std::io::Write as _;
    let mut file = tempfile::NamedTempFile::new().map_err(ProgramError::Scratch)?;
    file.write_all(content).map_err(ProgramError::Scratch)?;
    Ok(file)
}

/// Runs a program on an input, to its end.
pub(super) async fn run(
    program: &'static str,
    package: &'static str,
    arguments: &[&OsStr],
    input: &[u8],
) -> Result<Said, ProgramError> {
    let done = tokio::time::timeout(LIMIT, follow(program, arguments, input)).await;
    let done = done.map_err(|_| ProgramError::TimedOut { program })?;
    done.map_err(|source| ProgramError::NotRun {
        program,
        package,
        source,
    })
}

async fn follow(program: &str, arguments: &[&OsStr], input: &[u8]) -> io::Result<Said> {
    let mut child = command(program, arguments).spawn()?;
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin.take() {
            // One that has seen enough closes its end; what it makes of that is in its status.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), stdout, stderr) = tokio::join!(write, read(stdout), read(stderr));
    Ok(Said {
        status: child.wait().await?,
        stdout: stdout?,
        stderr: stderr?,
    })
}

async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(OUTPUT_LIMIT).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the second lawful place: what checks signatures is a program, as it is for git"
)]
fn command(program: &str, arguments: &[&OsStr]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        // Neither a home nor a configuration is to have a word in whom we trust.
        .env("HOME", "/nonexistent")
        .env_remove("GNUPGHOME")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
