use super::*;
use crate::nix::diagnosis::tests::{failed, recorded};

fn source(case: &str) -> FlakeSource {
    // The recorded inputs that cannot be fetched have this revision too.
    let digits = if case == "norevision" {
        "0123456789"
    } else {
        "abcdef0123"
    };
    FlakeSource {
        mirror: "/srv/git/throw".into(),
        folder: "sub".into(),
        revision: digits.repeat(4),
    }
}

/// The variant's name.
fn variant(error: &EvaluateError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(', '{']).next().unwrap().to_owned()
}

#[test]
fn every_recorded_failure_of_three_versions_of_nix_is_named() {
    let expected = [
        ("fetchgithub", "InputFetch", "network"),
        ("fetchhttp1270014080privategit", "InputFetch", "access"),
        ("fetchhttps1270011xgit", "InputFetch", "network"),
        ("fetchsshgit1270011xgit", "InputFetch", "network"),
        ("fetchsshgitnowhereinvalidxgit", "InputFetch", "network"),
        ("fetchtarball", "InputFetch", "access"),
        ("ifd", "ImportedBuild", "oh no"),
        ("ifdsystem", "ImportedSystem", "aarch64-linux"),
        ("nested", "Code", "nope.nix"),
        ("noconf", "NoConfigurations", ""),
        ("noflake", "NoFlake", ""),
        ("nofolder", "NoFlake", "`sub`"),
        ("nolock", "LockFile", "commit flake.lock"),
        ("nolockgithub", "LockFile", "commit flake.lock"),
        ("stalelock", "LockFile", "commit flake.lock"),
        ("norevision", "RevisionMissing", "01234567"),
        ("notoplevel", "Code", "attribute 'config' missing"),
        ("option", "Code", "Did you mean `services.food'?"),
        (
            "recursion",
            "Code",
            "infinite recursion encountered (at flake.nix:1:86)",
        ),
        ("stack", "Code", "stack overflow"),
        ("syntax", "Code", "(at flake.nix:1:55)"),
        (
            "throw",
            "Code",
            "Failed assertions:\n- The option `foo' is bad\n- And this",
        ),
        (
            "undefined",
            "Code",
            "attribute 'missing' missing (at flake.nix:1:89)",
        ),
    ];
    for version in ["2.8.0", "2.26.3", "2.34.8"] {
        for (case, kind, words) in expected {
            let finished = recorded("evaluate", version, case);
            let error = EvaluateError::of(&finished, &source(case));
            let shown = error.to_string();
            assert_eq!(variant(&error), kind, "{version} {case}: {shown}");
            let words = match words {
                "network" => FetchCause::Network.mend(),
                "access" => FetchCause::Access.mend(),
                words => words,
            };
            assert!(shown.contains(words), "{version} {case}: {shown}");
            assert!(shown.lines().count() <= 16, "{version} {case}: {shown}");
            assert!(
                !shown.contains("while evaluating"),
                "{version} {case}: {shown}"
            );
            let fetches = ["InputFetch", "RevisionMissing"].contains(&kind);
            assert_eq!(error.is_worth_retrying(), fetches, "{version} {case}");
            assert!(!error.is_timeout(), "{version} {case}");
        }
    }
}

#[test]
fn a_missing_host_is_told_with_the_nearest_name_and_the_others() {
    let error = EvaluateError::AttributeMissing {
        attribute: "cyt_pi".parse().unwrap(),
        nearest: Some("cyt-pi".into()),
        available: vec!["cyt-pi".into(), "uConsole".into()],
    };
    assert_eq!(
        error.to_string(),
        "the flake has no nixosConfigurations.cyt_pi; did you mean `cyt-pi`? It has: cyt-pi, uConsole"
    );
}

fn evaluated(stderr: &str) -> EvaluateError {
    EvaluateError::of(&failed(stderr, 1), &source("any"))
}

#[test]
fn a_cache_that_does_not_answer_never_hides_what_is_wrong_in_the_code() {
    let warned = "warning: error: unable to download 'http://127.0.0.1:9/nix-cache-info': Could not connect to server (7) Failed to connect to 127.0.0.1:9; retrying in 263 ms\n\
                  warning: unable to download 'http://127.0.0.1:9/x.narinfo': Could not connect to server\n";
    for said in [
        "error: no such disk",
        "error: unable to download 'http://127.0.0.1:9/x.narinfo': HTTP error 503\nerror: no such disk",
        "error:\n       … while evaluating attribute 'hosts'\n         at «string»:1:44:\n            1| x: throw \"failed to fetch: not found\"\n             |    ^\n\n       error: no such disk",
    ] {
        let error = evaluated(&format!("{warned}{said}"));
        assert!(
            matches!(&error, EvaluateError::Code { detail } if detail == "no such disk"),
            "{error:?}"
        );
        assert!(!error.is_worth_retrying());
    }
}

#[test]
fn a_daemon_that_goes_away_in_an_evaluation_is_tried_again_and_is_no_hosts_fault() {
    let stack = "error:\n       … while evaluating attribute 'hosts'\n         at «string»:1:44:\n            1| x\n             | ^\n\n       ";
    for said in [
        "error: unexpected end-of-file",
        "error: Nix daemon disconnected unexpectedly (maybe it crashed?)",
        "error: opening a connection to remote store 'daemon' previously failed",
    ] {
        for before in ["", stack] {
            let error = evaluated(&format!("{before}{said}"));
            assert!(
                matches!(&error, EvaluateError::Nix(NixTrouble::DaemonGone { .. })),
                "{error:?}"
            );
            assert!(error.is_worth_retrying() && !error.can_be_one_hosts());
        }
    }
}

#[test]
fn a_recorded_daemon_that_was_killed_in_an_import_from_derivation_is_named() {
    for version in ["2.8.0", "2.26.3"] {
        let finished = recorded("evaluate", version, "daemongone");
        let error = EvaluateError::of(&finished, &source("daemongone"));
        assert!(
            matches!(&error, EvaluateError::Nix(NixTrouble::DaemonGone { .. })),
            "{version}: {error:?}"
        );
    }
}

#[test]
fn a_download_or_a_killed_builder_in_an_import_from_derivation_is_tried_again() {
    let of = |how: &str, log: &str| {
        evaluated(&format!(
            "error: builder for '/nix/store/00000000000000000000000000000000-x.drv' {how};\n       last 1 log lines:\n       > {log}\n       For full logs, run 'nix log x'."
        ))
    };
    for (how, log, is_tried_again) in [
        ("failed with exit code 1", "oh no", false),
        (
            "failed with exit code 1",
            "curl: (6) Could not resolve host: x",
            true,
        ),
        (
            "failed with exit code 1",
            "cp: x: No space left on device",
            true,
        ),
        ("failed due to signal 9 (Killed)", "linking", true),
    ] {
        let error = of(how, log);
        assert_eq!(error.is_worth_retrying(), is_tried_again, "{error:?}");
    }
}

#[test]
fn a_server_that_limits_requests_is_named_as_that() {
    for said in [
        "error: unable to download 'https://forge/x.tar.gz': HTTP error 429",
        "error: unable to download 'https://forge/x.tar.gz': HTTP error 403\n\n       response body:\n\n       {\"message\":\"API rate limit exceeded for 192.0.2.1\"}",
        "fatal: unable to access 'https://forge/x.git/': The requested URL returned error: 429\nerror: program 'git' failed with exit code 128",
    ] {
        let error = evaluated(said);
        assert!(
            matches!(
                &error,
                EvaluateError::InputFetch {
                    cause: FetchCause::RateLimited,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.is_worth_retrying());
        assert!(error.to_string().contains("limits our requests"), "{error}");
    }
}

#[test]
fn a_lock_file_that_a_newer_nix_has_written_is_named_as_that() {
    for said in [
        "error: lock file '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-source/flake.lock' has unsupported version 8",
        "error: unsupported Git input attribute 'exportIgnore'",
        "error:\n       … while updating the lock file of flake 'git+file:///x'\n\n       error: input attribute 'invented' not supported by scheme 'git'",
    ] {
        let error = evaluated(said);
        assert!(
            matches!(&error, EvaluateError::NewerLockFile { .. }),
            "{error:?}"
        );
        assert!(!error.is_worth_retrying() && !error.can_be_one_hosts());
    }
}
