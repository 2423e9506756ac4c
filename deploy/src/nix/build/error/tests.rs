use super::*;
use crate::nix::diagnosis::tests::{failed, recorded};

/// A recorded case, the error, what it says, and whether it is worth retrying.
const RECORDED: [(&str, &str, &str, bool); 14] = [
    ("fails ", "BuilderFailed", "line 14", false),
    (
        "dependency ",
        "BuilderFailed",
        "-fails.drv failed with exit code 1",
        false,
    ),
    ("hash ", "Nix", "not what was expected", false),
    ("system ", "PartUnsupported", "aarch64-linux", false),
    ("features ", "PartUnsupported", "kvm-x", false),
    ("killed ", "BuilderKilled", "out of memory", true),
    ("fetch ", "SourceFetch", FetchCause::Network.mend(), true),
    (
        "nooutput ",
        "BuilderFailed",
        "failed to produce output path",
        false,
    ),
    ("full ", "Nix", "a disk is full", true),
    ("gone", "DerivationGone", "evaluate again", true),
    (
        "hash --option substituters http://127.0.0.1:1",
        "Nix",
        "not what was expected",
        false,
    ),
    (
        "nooutput --option substituters http://nowhere.invalid",
        "BuilderFailed",
        "output path",
        false,
    ),
    (
        "killed --option build-users-group nixbldx",
        "Nix",
        "`build-users-group =`",
        false,
    ),
    ("daemon", "Nix", "start nix-daemon", true),
];

#[test]
fn every_recorded_failure_of_three_versions_of_nix_is_named() {
    for version in ["2.8.0", "2.26.3", "2.34.8"] {
        for (case, kind, words, worth_retrying) in RECORDED {
            let error = BuildError::of(
                &recorded("build", version, case),
                "x86_64-linux",
                BuildError::Nix,
            );
            let shown = error.to_string();
            assert!(
                format!("{error:?}").starts_with(kind),
                "{version} {case}: {error:?}"
            );
            assert!(shown.contains(words), "{version} {case}: {shown}");
            assert_eq!(
                error.is_worth_retrying(),
                worth_retrying,
                "{version} {case}: {shown}"
            );
            assert!(!error.is_timeout(), "{version} {case}: {shown}");
        }
    }
}

#[test]
fn a_machine_that_cannot_sandbox_is_told_how_to_go_on() {
    let sandbox = "fails --option sandbox true --option sandbox-fallback false";
    let error = BuildError::of(
        &recorded("build", "2.26.3", sandbox),
        "x86_64-linux",
        BuildError::Nix,
    );
    assert!(error.to_string().contains("`sandbox = false`"), "{error}");
    assert!(!error.is_worth_retrying());
}

#[test]
fn a_log_is_the_builders_last_lines_without_nixs_own() {
    let BuildError::BuilderFailed { log, .. } = BuildError::of(
        &recorded("build", "2.8.0", "fails "),
        "x86_64-linux",
        BuildError::Nix,
    ) else {
        panic!("another error")
    };
    assert!(
        log.starts_with("line 1\n") && log.ends_with("\nline 14"),
        "{log}"
    );
}

#[test]
fn a_download_inside_a_builder_is_worth_another_try_and_a_test_that_fails_is_not() {
    let curl = "building '/nix/store/x.drv'...\ncurl: (6) Could not resolve host: example.org\n\
                error: builder for '/nix/store/x.drv' failed with exit code 1";
    assert!(BuildError::of(&failed(curl, 100), "s", BuildError::Nix).is_worth_retrying());
    let test = "test net ... Connection refused\nerror: builder for '/nix/store/x.drv' failed with exit code 1";
    assert!(!BuildError::of(&failed(test, 100), "s", BuildError::Nix).is_worth_retrying());
}

/// A builder that printed this and failed, as three generations of Nix tell it, the log quoted.
fn failed_builders(log: &str) -> [String; 2] {
    const DERIVATION: &str = "/nix/store/00000000000000000000000000000000-x.drv";
    let quoted: String = log
        .lines()
        .map(|line| format!("       > {line}\n"))
        .collect();
    [
        format!(
            "building '{DERIVATION}'...\nerror: builder for '{DERIVATION}' failed with exit code 1;\n       last 2 log lines:\n{quoted}       For full logs, run 'nix log {DERIVATION}'."
        ),
        format!(
            "building '{DERIVATION}'...\nerror: Cannot build '{DERIVATION}'.\n       Reason: builder failed with exit code 1.\n       Last 2 log lines:\n{quoted}       For full logs, run:\n         nix log {DERIVATION}"
        ),
    ]
}

#[test]
fn a_builder_that_prints_connection_refused_is_a_failed_build() {
    for log in [
        "Failed to connect to 127.0.0.1 port 1: Connection refused",
        "sudo: command not found",
        "sudo: a password is required\nerror: unexpected end-of-file",
        "write error: Broken pipe",
        "error: Nix daemon disconnected unexpectedly (maybe it crashed?)",
        "ssh: connect to host x port 22: Connection refused",
        "error: cannot connect to socket at '/x': Connection refused",
        "error: a 'x' with features {} is required to build 'y', but I am a 'z'",
    ] {
        for stderr in failed_builders(log) {
            for error in [
                BuildError::on_target(&failed(&stderr, 100), "x86_64-linux", "pi"),
                BuildError::of(&failed(&stderr, 100), "x86_64-linux", BuildError::Nix),
            ] {
                assert!(
                    matches!(&error, BuildError::BuilderFailed { log: said, .. } if said == log),
                    "{stderr}: {error:?}"
                );
                assert!(!error.is_worth_retrying());
            }
        }
    }
}

/// What Nix says where the daemon that it asks goes away: 2.8 to 2.18, since, and where it was writing.
const GONE_AWAY: [&str; 5] = [
    "error: unexpected end-of-file",
    "error: Nix daemon disconnected unexpectedly (maybe it crashed?)",
    "error: cannot open connection to remote store 'daemon': Nix daemon disconnected unexpectedly (maybe it crashed?)",
    "error: writing to file: Broken pipe",
    "error: reading from file: Connection reset by peer",
];

#[test]
fn a_daemon_that_goes_away_in_a_build_is_tried_again() {
    for said in GONE_AWAY {
        let stderr = format!(
            "this derivation will be built:\n  /nix/store/00000000000000000000000000000000-x.drv\n{said}"
        );
        let error = BuildError::of(&failed(&stderr, 1), "x86_64-linux", BuildError::Nix);
        assert!(error.is_worth_retrying(), "{said}: {error:?}");
        assert!(error.to_string().contains("the Nix daemon"), "{error}");
    }
}

#[test]
fn a_connection_that_breaks_in_a_silent_build_on_the_target_is_tried_again() {
    for said in GONE_AWAY
        .into_iter()
        .chain(["client_loop: send disconnect: Broken pipe\nerror: unexpected EOF"])
    {
        let stderr =
            format!("building '/nix/store/00000000000000000000000000000000-x.drv'...\n{said}");
        let error = BuildError::on_target(&failed(&stderr, 1), "x86_64-linux", "pi");
        assert!(
            matches!(&error, BuildError::Copy(CopyError::ConnectionLost { .. })),
            "{said}: {error:?}"
        );
        assert!(error.is_worth_retrying());
    }
}

#[test]
fn what_is_not_recognised_settles_a_build_only_where_nix_says_an_error_of_its_own() {
    for (stderr, is_tried_again) in [
        (
            "error: cycle detected in build of '/nix/store/x.drv'",
            false,
        ),
        (
            "error: reading file '/nix/store/x': Input/output error",
            true,
        ),
        (
            "error: executing SQLite statement: database is locked",
            true,
        ),
        ("terminate called after throwing an instance of 'x'", true),
        ("", true),
    ] {
        let error = BuildError::of(&failed(stderr, 1), "x86_64-linux", BuildError::Nix);
        assert_eq!(error.is_worth_retrying(), is_tried_again, "{error:?}");
    }
}

#[test]
fn a_machine_that_lacks_what_a_part_needs_is_named_in_every_version_of_nix() {
    // 2.27 to 2.33 (derivation-building-goal.cc); the others are recorded.
    let stderr = "error: Cannot build '/nix/store/00000000000000000000000000000000-x.drv'.\n       \
                  Reason: required system or feature not available\n       \
                  Required system: 'x86_64-linux' with features {kvm}\n       \
                  Current system: 'x86_64-linux' with features {benchmark, big-parallel}";
    let error = BuildError::of(&failed(stderr, 1), "x86_64-linux", BuildError::Nix);
    assert!(
        matches!(error, BuildError::PartUnsupported { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("{kvm}"));
}

#[test]
fn a_nix_that_is_told_to_build_nothing_is_named_as_that_in_every_version() {
    // worker.cc of 2.8, of 2.26, and of 2.34.
    for said in [
        "error: unable to start any build; either increase '--max-jobs' or enable remote builds.",
        "error: Unable to start any build; either increase '--max-jobs' or enable remote builds.",
        "error: Cannot build '/nix/store/00000000000000000000000000000000-x.drv'.\n       Reason: local builds are disabled (max-jobs = 0)\n       Hint: set 'max-jobs' to a non-zero value",
    ] {
        let error = BuildError::of(&failed(said, 1), "x86_64-linux", BuildError::Nix);
        assert!(
            error.to_string().contains("max-jobs = 0 in nix.conf"),
            "{error}"
        );
        assert!(error.is_worth_retrying());
    }
    let unreachable = "cannot build on 'ssh-ng://arm': error: failed to start SSH connection to 'arm'\n\
                       error: unable to start any build; either increase '--max-jobs' or enable remote builds.";
    let error = BuildError::of(&failed(unreachable, 1), "aarch64-linux", BuildError::Nix);
    assert!(
        matches!(error, BuildError::BuilderUnreachable { .. }),
        "{error:?}"
    );
}

#[test]
fn what_was_recorded_of_a_builder_that_prints_errors_and_of_a_killed_daemon_is_told_apart() {
    for version in ["2.8.0", "2.26.3"] {
        let of = |case: &str| {
            let finished = recorded("build", version, case);
            BuildError::of(&finished, "x86_64-linux", BuildError::Nix)
        };
        let printed = of("printed --no-build-output --option log-lines 20");
        assert!(
            matches!(&printed, BuildError::BuilderFailed { log, .. }
                if log == "error: unexpected end-of-file\nsudo: command not found"),
            "{version}: {printed:?}"
        );
        let killed = of("killed daemon --no-build-output --option log-lines 20");
        assert!(
            matches!(&killed, BuildError::Nix(NixTrouble::DaemonGone { .. })),
            "{version}: {killed:?}"
        );
    }
}
