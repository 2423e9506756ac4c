//! With what real versions of Nix printed.

use super::builder::{FailedBuilder, failed_builder};
use super::general::{General, general};
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
            "error: some substitutes for the outputs of derivation '/nix/store/x.drv' failed (usually happens due to networking issues); try '--fallback' to build derivation from source ",
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
        let _ = (general(&text), evaluation_error(&text), summary(&text), failed_builder(&text), crate::nix::fetch::fetch(&text));
    }
}
