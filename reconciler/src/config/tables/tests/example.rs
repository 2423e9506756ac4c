//! The annotated example is a right configuration, complete, and true about defaults.

use crate::config::testing::{config, read};

const EXAMPLE: &str = include_str!("../../../../reconcile.example.toml");

/// Keys that nobody would find out otherwise.
const KEYS: [&str; 62] = [
    "state_directory",
    "control_socket",
    "listen",
    "path",
    "secret_files",
    "body_limit",
    "delivery_grace",
    "format",
    "level",
    "config_file",
    "max_sessions",
    "collect_every",
    "collect_when_free_below",
    "keep_for",
    "keep_proven",
    "timeout",
    "secret_key_file",
    "keep_builds",
    "builds",
    "copies",
    "activations",
    "url",
    "ssh_key_file",
    "known_hosts_file",
    "token_file",
    "token_user",
    "flake_folder",
    "poll_interval",
    "fetch_timeout",
    "forced_push",
    "allowed_signers_file",
    "openpgp_keyring_file",
    "repository",
    "branch",
    "action",
    "specialisation",
    "policy",
    "interval",
    "build_on",
    "availability",
    "overdue_after",
    "identity",
    "min_free",
    "min_free_boot",
    "sudo",
    "windows",
    "freezes",
    "connect",
    "observe",
    "evaluate",
    "build",
    "copy",
    "activate",
    "first",
    "factor",
    "max",
    "jitter",
    "on_degraded",
    "on_rollback_failed",
    "deadline",
    "attribute",
    "destinations",
];

#[test]
fn the_annotated_example_is_right_and_says_every_key() {
    let loaded = read(EXAMPLE).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.config.hosts.len(), 3);
    for key in KEYS {
        let said = EXAMPLE.lines().any(|line| {
            line.trim_start_matches(['#', ':', ' '])
                .starts_with(&format!("{key} ="))
        });
        assert!(said, "{key} is missing in the example");
    }
}

#[test]
fn every_default_in_the_example_is_the_real_one() {
    // A line such as `# interval = "60s"` shows a default, so taking the `#` away must change nothing.
    let example = EXAMPLE;
    let shown = |line: &str| match line.strip_prefix("#: ") {
        Some(default) => default.to_owned(),
        None => line.to_owned(),
    };
    let with_defaults: String = example.lines().map(|line| shown(line) + "\n").collect();
    assert_ne!(with_defaults, example, "the example shows defaults");
    assert_eq!(config(&with_defaults), config(example));
}
