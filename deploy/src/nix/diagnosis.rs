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

/// Why something could not be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchCause {
    /// No route, DNS, a proxy, or a server that is down.
    Network,
    /// The server does not know us, or does not let us read.
    Access,
    /// The server's SSH host key is unknown or has changed.
    HostKey,
    /// The server has no such repository, file or revision; servers say so, too, when access is lacking.
    NotFound,
}

impl FetchCause {
    /// What a person can do about it.
    pub fn mend(self) -> &'static str {
        match self {
            Self::Network => {
                "check the route, DNS and the proxy variables (http_proxy, https_proxy, no_proxy)"
            }
            Self::Access => "check that the repository's key or token may read this input too",
            Self::HostKey => {
                "add the server's host key to the known_hosts file, or check why it changed"
            }
            Self::NotFound => "check the input's URL and that our key or token may read it",
        }
    }
}

/// What the kernel, curl, git and ssh say about a network that does not carry.
const NETWORK: [&str; 19] = [
    "ouldn't resolve host",
    "ould not resolve host",
    "Temporary failure in name resolution",
    "ouldn't connect to server",
    "ould not connect to server",
    "Failed to connect",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Operation timed out",
    "Timeout was reached",
    "Network is unreachable",
    "No route to host",
    "Connection closed by",
    "kex_exchange_identification",
    "ouldn't resolve proxy",
    "ould not resolve proxy",
    "HTTP error 5",
    "SSL connect error",
];
/// What git, curl and ssh say when the server refuses.
const ACCESS: [&str; 8] = [
    "could not read Username",
    "could not read Password",
    "Authentication failed",
    "Permission denied (",
    "HTTP error 401",
    "HTTP error 403",
    "returned error: 403",
    "returned error: 401",
];
const HOST_KEY: [&str; 3] = [
    "Host key verification failed",
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    "No ED25519 host key is known",
];
const NOT_FOUND: [&str; 5] = [
    "HTTP error 404",
    "does not appear to be a git repository",
    "not found",
    "Cannot find Git revision",
    "not our ref",
];
/// What marks a failed fetch, of any cause.
const FETCH: [&str; 9] = [
    "ailed to fetch git repository",
    "unable to download '",
    "program 'git' failed",
    "Cannot find Git revision",
    "Failed to open archive",
    "Could not read from remote repository",
    "failed to fetch",
    "while fetching the input",
    "failed to download",
];

/// Whether and why a fetch failed. Without a known reason the server has answered, and not with it.
pub(crate) fn fetch(stderr: &str) -> Option<FetchCause> {
    has_any(stderr, &FETCH).then(|| fetch_cause(stderr).unwrap_or(FetchCause::NotFound))
}

/// Whether and why a builder that downloads failed: by curl (fetchurl), git or Nix itself.
pub(crate) fn download(log: &str) -> Option<FetchCause> {
    let downloads = has_any(log, &FETCH)
        || has_any(
            log,
            &[
                "curl: (",
                "fatal: unable to access '",
                "error: cannot download ",
            ],
        );
    if downloads { fetch_cause(log) } else { None }
}

fn fetch_cause(stderr: &str) -> Option<FetchCause> {
    [
        (FetchCause::HostKey, &HOST_KEY[..]),
        (FetchCause::Access, &ACCESS[..]),
        (FetchCause::Network, &NETWORK[..]),
        (FetchCause::NotFound, &NOT_FOUND[..]),
    ]
    .into_iter()
    .find(|(_, signs)| has_any(stderr, signs))
    .map(|(cause, _)| cause)
}

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

/// Looks for a general cause in Nix's own messages: not in a builder's log, which may say anything.
pub(crate) fn general(stderr: &str) -> Option<General> {
    let own = error_text(stderr);
    let says = |signs: &[&str]| has_any(&own, signs);
    if says(&[
        "No space left on device",
        "Disk quota exceeded",
        "database or disk is full",
    ]) {
        return Some(General::DiskFull);
    }
    if says(&["Cannot allocate memory", "out of memory", "std::bad_alloc"])
        || stderr.contains("GC Warning: Out of Memory")
    {
        return Some(General::OutOfMemory);
    }
    if says(&[
        "cannot connect to socket at",
        "cannot connect to daemon",
        "cannot open connection to remote store 'daemon'",
    ]) {
        return Some(General::DaemonUnreachable);
    }
    if says(&[
        "'build-users-group' does not exist",
        "'build-users-group' has no members",
    ]) {
        return Some(General::BuildGroupMissing);
    }
    if says(&[
        "kernel namespaces that are required for sandboxing",
        "setting up a private mount namespace",
        "cloning builder process",
        "unable to load seccomp BPF program",
        "unable to start build process",
        "mounting /proc",
        "setting up the build environment",
        "pivot old root directory",
    ]) {
        return Some(General::SandboxImpossible);
    }
    if says(&[
        "ermission denied",
        "Read-only file system",
        "Operation not permitted",
    ]) && says(&["'/nix/"])
    {
        return Some(General::StoreNotWritable);
    }
    if says(&["hash mismatch", "NAR hash"]) {
        return Some(General::HashMismatch);
    }
    // A cache's files are known by their names; other downloads are inputs and sources.
    let of_a_cache = |line: &str| {
        line.contains("unable to download '")
            && has_any(
                line,
                &[
                    ".narinfo'",
                    "/nix-cache-info'",
                    ".nar'",
                    ".nar.xz'",
                    ".nar.zst'",
                    "/nar/",
                ],
            )
    };
    if own.lines().any(of_a_cache) {
        return Some(General::CacheUnreachable);
    }
    None
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
pub(crate) mod tests {
    use super::*;
    use crate::command::Finished;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    /// A failure as it was recorded from a real Nix: `=== case`, standard error, `--> exit code`.
    pub(crate) fn recorded(of: &str, version: &str, case: &str) -> Finished {
        let file = format!(
            "{}/tests/recorded/{of}-{version}.txt",
            env!("CARGO_MANIFEST_DIR")
        );
        let all = std::fs::read_to_string(&file).unwrap();
        let (_, after) = all
            .split_once(&format!("=== {case}\n"))
            .unwrap_or_else(|| panic!("no {case} in {file}"));
        let (stderr, code) = after.split_once("--> ").unwrap();
        let code: i32 = code.lines().next().unwrap().parse().unwrap();
        failed(stderr, code)
    }

    pub(crate) fn failed(stderr: &str, code: i32) -> Finished {
        Finished {
            status: ExitStatus::from_raw(code << 8),
            stdout: Vec::new(),
            stderr: stderr.to_owned(),
        }
    }

    #[test]
    fn general_causes_are_found_in_what_nix_says_and_not_in_a_builders_log() {
        for (stderr, cause) in [
            (
                "error: writing to file: No space left on device",
                Some(General::DiskFull),
            ),
            (
                "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused",
                Some(General::DaemonUnreachable),
            ),
            (
                "error: creating directory '/nix/store/x': Read-only file system",
                Some(General::StoreNotWritable),
            ),
            (
                "error: opening lock file '/nix/var/nix/db/big-lock': Permission denied",
                Some(General::StoreNotWritable),
            ),
            (
                "error: cloning builder process: Operation not permitted",
                Some(General::SandboxImpossible),
            ),
            ("error: out of memory", Some(General::OutOfMemory)),
            (
                "error: unable to download 'https://cache.example/nar/0a.nar.xz': HTTP error 502",
                Some(General::CacheUnreachable),
            ),
            (
                "warning: unable to download 'https://cache.example/nix-cache-info': Could not resolve host\nerror: syntax error",
                None,
            ),
            (
                "checking: No space left on device, as a test\nerror: builder for '/nix/store/x.drv' failed with exit code 1",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(general(stderr), cause, "{stderr}");
        }
    }

    #[test]
    fn the_layout_of_nix_2_30_is_read_too() {
        let stderr = "error: Cannot build '/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-x.drv'.\n       \
                      Reason: builder failed with exit code 1.\n       Output paths:\n         \
                      /nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-x\n       Last 2 log lines:\n       \
                      > one\n       > two\n       For full logs, run:\n         nix log x";
        let builder = failed_builder(stderr).unwrap();
        assert_eq!(
            builder.derivation,
            "/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-x.drv"
        );
        assert_eq!(builder.how, "failed with exit code 1");
        assert_eq!(builder.log, "one\ntwo");
    }

    #[test]
    fn a_builder_killed_for_want_of_memory_is_told_from_one_that_failed() {
        let killed = |how: &str| {
            FailedBuilder {
                derivation: String::new(),
                how: how.into(),
                log: String::new(),
            }
            .was_killed()
        };
        assert!(killed("failed due to signal 9 (Killed)"));
        assert!(killed("failed with exit code 137"));
        assert!(!killed("failed with exit code 1"));
    }

    #[test]
    fn long_errors_are_cut() {
        let stderr = format!(
            "error: {}\n{}",
            "x".repeat(5_000),
            "       more\n".repeat(100)
        );
        let text = error_text(&stderr);
        assert!(
            text.len() < 1_000 && text.lines().count() == ERROR_LINES,
            "{}",
            text.len()
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(error:|error: builder for '|at /nix/store/|> | {0,8}|[a-zé']{0,9}|\n){0,40}") {
            let _ = (general(&text), evaluation_error(&text), summary(&text), failed_builder(&text), fetch(&text));
        }
    }
}
