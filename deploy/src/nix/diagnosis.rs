//! Reads what Nix prints when something failed, and names the cause.
//!
//! Nix has no machine-readable errors; the texts here were recorded from 2.8.0, 2.26.3 and 2.34.8
//! (`tests/recorded`), which differ mainly in the layout of the stack, which is left out.

/// At most this many lines of Nix's own error are shown.
const ERROR_LINES: usize = 15;
/// At most this many of the last lines of a failed builder's log are shown.
const LOG_LINES: usize = 20;
/// Longer lines are cut: a minified file in an error is of no use.
const LINE_LENGTH: usize = 500;

/// What went wrong that has to do with Nix and the machine, whatever Nix was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum General {
    DiskFull,
    OutOfMemory,
    DaemonUnreachable,
    StoreNotWritable,
    SandboxImpossible,
    BuildGroupMissing,
    CacheUnreachable,
    HashMismatch,
}

/// What stands for a cause by itself; the first that is said counts.
const SAID: [(General, &[&str]); 5] = [
    (
        General::DiskFull,
        &[
            "No space left on device",
            "Disk quota exceeded",
            "database or disk is full",
        ],
    ),
    (
        General::OutOfMemory,
        &["Cannot allocate memory", "out of memory", "std::bad_alloc"],
    ),
    (
        General::DaemonUnreachable,
        &[
            "cannot connect to socket at",
            "cannot connect to daemon",
            "cannot open connection to remote store 'daemon'",
        ],
    ),
    (
        General::BuildGroupMissing,
        &[
            "'build-users-group' does not exist",
            "'build-users-group' has no members",
        ],
    ),
    (
        General::SandboxImpossible,
        &[
            "kernel namespaces that are required for sandboxing",
            "setting up a private mount namespace",
            "cloning builder process",
            "unable to load seccomp BPF program",
            "unable to start build process",
            "mounting /proc",
            "setting up the build environment",
            "pivot old root directory",
        ],
    ),
];
/// What Nix's garbage collector of memory warns of, which is no message of Nix itself.
const NO_MEMORY: &str = "GC Warning: Out of Memory";
/// What the kernel says of something that cannot be written.
const NOT_WRITABLE: [&str; 3] = [
    "ermission denied",
    "Read-only file system",
    "Operation not permitted",
];
/// The names of a cache's files; other downloads are inputs and sources.
const OF_A_CACHE: [&str; 6] = [
    ".narinfo'",
    "/nix-cache-info'",
    ".nar'",
    ".nar.xz'",
    ".nar.zst'",
    "/nar/",
];

/// Looks for a general cause in Nix's own messages: not in a builder's log, which may say anything.
pub(crate) fn general(stderr: &str) -> Option<General> {
    let own = error_text(stderr);
    let is_said = |(cause, signs): &&(General, &[&str])| {
        has_any(&own, signs) || (*cause == General::OutOfMemory && stderr.contains(NO_MEMORY))
    };
    if let Some((cause, _)) = SAID.iter().find(is_said) {
        return Some(*cause);
    }
    if has_any(&own, &NOT_WRITABLE) && own.contains("'/nix/") {
        return Some(General::StoreNotWritable);
    }
    if has_any(&own, &["hash mismatch", "NAR hash"]) {
        return Some(General::HashMismatch);
    }
    own.lines()
        .any(|line| line.contains("unable to download '") && has_any(line, &OF_A_CACHE))
        .then_some(General::CacheUnreachable)
}

/// The cause that Nix names last, with the place in the flake, without the stack: for evaluations.
pub(crate) fn evaluation_error(stderr: &str) -> String {
    let blocks = error_blocks(stderr);
    let Some(block) = blocks.last() else {
        return last_lines(stderr, ERROR_LINES);
    };
    let place = stderr
        .lines()
        .skip(block.end)
        .take(3)
        .find_map(|line| line.trim().strip_prefix("at "))
        .and_then(in_the_flake);
    match place {
        Some(place) => format!("{} (at {place})", block.text),
        None => block.text.clone(),
    }
}

/// All that Nix itself said went wrong, in order, without stacks.
pub(crate) fn error_text(stderr: &str) -> String {
    let blocks: Vec<String> = error_blocks(stderr)
        .into_iter()
        .map(|block| block.text)
        .collect();
    let mut text = String::new();
    for (index, block) in blocks.iter().enumerate() {
        // A nested error is often said twice.
        if index == 0 || blocks[index - 1] != *block {
            text.push_str(block);
            text.push('\n');
        }
    }
    text.trim_end().to_owned()
}

/// [`error_text`], or what was printed last if Nix did not say `error:` (git and ssh do not).
pub(crate) fn summary(stderr: &str) -> String {
    let text = error_text(stderr);
    // A builder's log and Nix's own lines are dealt with elsewhere; these are of ssh, sudo and git.
    let speaks = |line: &str| {
        ["fatal: ", "ssh: ", "sudo: "]
            .iter()
            .any(|start| line.starts_with(start))
            || has_any(
                line,
                &[
                    "Permission denied (",
                    "Host key verification failed",
                    "host key is known",
                    "HAS CHANGED",
                ],
            )
    };
    let mut lines: Vec<&str> = stderr.lines().filter(|line| speaks(line)).collect();
    lines.extend(text.lines());
    if lines.is_empty() {
        return last_lines(stderr, ERROR_LINES);
    }
    lines.truncate(ERROR_LINES);
    lines.join("\n")
}

/// A builder that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedBuilder {
    /// The derivation.
    pub(crate) derivation: String,
    /// How: `failed with exit code 1`, `failed due to signal 9 (Killed)` …
    pub(crate) how: String,
    /// The last lines of its log.
    pub(crate) log: String,
}

impl FailedBuilder {
    /// Whether it was killed: by the kernel for want of memory, or by a person.
    pub(crate) fn was_killed(&self) -> bool {
        self.how.contains("signal 9") || self.how.contains("exit code 137")
    }
}

/// The first builder that failed; what failed after it failed because of it.
pub(crate) fn failed_builder(stderr: &str) -> Option<FailedBuilder> {
    let lines: Vec<&str> = stderr.lines().collect();
    lines.iter().enumerate().find_map(|(index, line)| {
        let line = line.trim_start();
        // Until 2.29, and since then where no log would help.
        if let Some(rest) = line.strip_prefix("error: builder for '") {
            let (derivation, how) = rest.split_once("' ")?;
            let how = how.trim_end_matches([';', ':']).to_owned();
            return Some(FailedBuilder {
                derivation: derivation.to_owned(),
                how,
                log: log_around(&lines, index),
            });
        }
        // Since 2.30.
        let rest = line.strip_prefix("error: Cannot build '")?;
        let derivation = rest.split_once('\'')?.0.to_owned();
        let reason = lines
            .get(index + 1)?
            .trim()
            .strip_prefix("Reason: builder ")?;
        let how = reason.trim_end_matches('.').to_owned();
        Some(FailedBuilder {
            derivation,
            how,
            log: log_around(&lines, index),
        })
    })
}

/// A builder's log: quoted by Nix after the error (`nix build`), or as it came before it (`nix-store`).
fn log_around(lines: &[&str], error: usize) -> String {
    let quoted: Vec<&str> = lines[error + 1..]
        .iter()
        .map(|line| line.trim_start())
        .skip_while(|line| !line.starts_with("> "))
        .take_while(|line| line.starts_with('>'))
        .map(|line| line.trim_start_matches("> "))
        .collect();
    if !quoted.is_empty() {
        return last(&quoted, LOG_LINES);
    }
    let before: Vec<&str> = lines[..error]
        .iter()
        .copied()
        .filter(|line| {
            !(line.starts_with("building '/nix/store/")
                || line.starts_with("  /nix/store/")
                || line.starts_with("copying path ")
                || line.starts_with("warning: ")
                || (line.ends_with("will be built:") || line.contains("will be fetched (")))
        })
        .collect();
    last(&before, LOG_LINES)
}

/// One `error:` of Nix.
struct Block {
    text: String,
    /// The number of the line after it.
    end: usize,
}

/// All errors, in the order that Nix printed them, without those that only open a stack.
fn error_blocks(stderr: &str) -> Vec<Block> {
    let lines: Vec<&str> = stderr.lines().collect();
    let mut blocks = Vec::new();
    let mut next = 0;
    while next < lines.len() {
        let line = lines[next].trim_start();
        next += 1;
        let Some(first) = line.strip_prefix("error:") else {
            continue;
        };
        let mut text: Vec<String> = Vec::new();
        if !first.trim().is_empty() {
            text.push(cut(first.trim()));
        }
        while next < lines.len() && !ends_a_block(&lines[next..]) {
            // Nix indents what belongs to an error by seven columns.
            text.push(cut(lines[next]
                .strip_prefix("       ")
                .unwrap_or(lines[next])
                .trim_end()));
            next += 1;
        }
        if !text.is_empty() {
            text.truncate(ERROR_LINES);
            while text.last().is_some_and(|line| line.is_empty()) {
                text.pop();
            }
            blocks.push(Block {
                text: text.join("\n"),
                end: next,
            });
        }
    }
    blocks
}

/// Whether the next of these lines is no part of the error before it.
fn ends_a_block(lines: &[&str]) -> bool {
    // A message may have empty lines inside.
    let Some(line) = lines.iter().find(|line| !line.trim().is_empty()) else {
        return true;
    };
    let text = line.trim_start();
    // What belongs to an error is indented.
    text.len() == line.len()
        || [
            "at /",
            "at «",
            "… ",
            "error:",
            "(stack trace",
            "(use '--show-trace'",
            "> ",
            "last ",
            "Last ",
            "For full logs",
        ]
        .iter()
        .any(|start| text.starts_with(start))
}

/// `/nix/store/…-source/hosts/a.nix:3:5:` (since 2.30 `«git+file:…»/hosts/a.nix:3:5:`) as
/// `hosts/a.nix:3:5`; other places are of no use to a reader.
fn in_the_flake(place: &str) -> Option<&str> {
    let inside = match place.strip_prefix("/nix/store/") {
        Some(inside) => inside.split_once('/')?.1,
        None => place.strip_prefix("«git+file:")?.split_once("»/")?.1,
    };
    Some(inside.trim_end_matches(':'))
}

fn last_lines(text: &str, count: usize) -> String {
    last(
        &text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect::<Vec<_>>(),
        count,
    )
}

fn last(lines: &[&str], count: usize) -> String {
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| cut(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_LENGTH) {
        Some((end, _)) => format!("{} […]", &line[..end]),
        None => line.to_owned(),
    }
}

/// Whether a derivation needs another machine: another system, or a feature that this one lacks.
pub(crate) fn needs_another_machine(stderr: &str) -> bool {
    // The first until 2.29, the others since.
    has_any(
        stderr,
        &[
            "is required to build '",
            "Reason: platform mismatch",
            "Reason: missing system features",
        ],
    )
}

/// Whether any of the signs is in the text.
pub(crate) fn has_any(text: &str, signs: &[&str]) -> bool {
    signs.iter().any(|sign| text.contains(sign))
}

/// The last few lines of what a command printed before it was ended.
pub(crate) fn last_words(stderr: &str) -> String {
    const LINES: usize = 5;
    last_lines(stderr, LINES)
}

#[cfg(test)]
pub(crate) mod tests;
