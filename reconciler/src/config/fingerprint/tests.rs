use std::collections::BTreeSet;

use crate::config::testing::{config, host};

/// Every key that concerns a host, one a line; each line is there once.
const TEXT: &str = r#"
[ssh]
config_file = "ssh_config"
max_sessions = 7
[nix]
keep_builds = 4
[store]
secret_key_file = "store-key"
collect_every = "2d"
[limits]
builds = 3
[repositories."infra-team/infra"]
url = "git@gitea.example:infra-team/infra.git"
ssh_key_file = "deploy-key"
known_hosts_file = "known_hosts"
flake_folder = "nixos"
allowed_signers_file = "signers"
openpgp_keyring_file = "keyring"
poll_interval = "5m"
fetch_timeout = "2m"
forced_push = "refuse"
[repositories."infra-team/other"]
url = "file:///srv/other.git"
[hosts.spare]
repository = "infra-team/other"
[hosts.cyt-pi]
repository = "infra-team/infra"
branch = "main"
attribute = "cyt-pi"
destinations = ["cyt-pi"]
sudo = false
action = "switch"
build_on = "here"
min_free = "1G"
min_free_boot = "1M"
specialisation = "travel"
policy = "enforce"
interval = "1m"
availability = "always"
overdue_after = "1d"
windows = []
freezes = []
proof.timeout = "1m"
proof.settle = "0s"
proof.acknowledge = "same-route"
proof.on_degraded = "rollback"
proof.on_rollback_failed = "stay"
proof.ignored_units = ["a.service"]
proof.probes = [{ name = "web", tcp = "localhost:80" }]
timeouts.connect = "11s"
timeouts.observe = "31s"
timeouts.evaluate = "11m"
timeouts.build = "3h"
timeouts.copy = "2h"
timeouts.activate = "16m"
backoff.first = "11s"
backoff.factor = 3.0
backoff.max = "2h"
backoff.jitter = 0.1
reboot.policy = "never"
reboot.windows = []
reboot.deadline = "11m"
store.collect_every = "7d"
store.collect_when_free_below = "1M"
store.keep_for = "14d"
store.keep_proven = 2
store.timeout = "1h"
"#;

/// A line, and what is written instead of it.
type Correction = (&'static str, &'static str);

const STANDS_ON: [Correction; 33] = [
    ("config_file = \"ssh_config\"", "config_file = \"other\""),
    ("max_sessions = 7", "max_sessions = 6"),
    ("keep_builds = 4", "keep_builds = 5"),
    ("secret_key_file = \"store-key\"", ""),
    (
        "url = \"git@gitea.example:infra-team/infra.git\"",
        "url = \"git@gitea.lan:infra-team/infra.git\"",
    ),
    ("ssh_key_file = \"deploy-key\"", "ssh_key_file = \"other\""),
    ("known_hosts_file = \"known_hosts\"", ""),
    ("flake_folder = \"nixos\"", ""),
    ("allowed_signers_file = \"signers\"", ""),
    (
        "openpgp_keyring_file = \"keyring\"",
        "openpgp_keyring_file = \"other\"",
    ),
    (
        "repository = \"infra-team/infra\"",
        "repository = \"infra-team/other\"",
    ),
    ("branch = \"main\"", "branch = \"release\""),
    ("attribute = \"cyt-pi\"", "attribute = \"pi\""),
    (
        "destinations = [\"cyt-pi\"]",
        "destinations = [\"cyt-pi\", \"cyt-pi.lan\"]",
    ),
    ("sudo = false", "sudo = true"),
    ("action = \"switch\"", "action = \"boot\""),
    ("build_on = \"here\"", "build_on = \"target\""),
    ("min_free = \"1G\"", "min_free = \"2G\""),
    ("min_free_boot = \"1M\"", "min_free_boot = \"2M\""),
    ("specialisation = \"travel\"", "specialisation = \"home\""),
    ("proof.timeout = \"1m\"", "proof.timeout = \"2m\""),
    ("proof.settle = \"0s\"", "proof.settle = \"1s\""),
    (
        "proof.acknowledge = \"same-route\"",
        "proof.acknowledge = \"every-route\"",
    ),
    (
        "proof.on_degraded = \"rollback\"",
        "proof.on_degraded = \"keep\"",
    ),
    (
        "proof.on_rollback_failed = \"stay\"",
        "proof.on_rollback_failed = \"reboot\"",
    ),
    (
        "proof.ignored_units = [\"a.service\"]",
        "proof.ignored_units = [\"b.service\"]",
    ),
    (
        "proof.probes = [{ name = \"web\", tcp = \"localhost:80\" }]",
        "proof.probes = [{ name = \"web\", tcp = \"localhost:443\" }]",
    ),
    ("timeouts.connect = \"11s\"", "timeouts.connect = \"12s\""),
    ("timeouts.observe = \"31s\"", "timeouts.observe = \"32s\""),
    ("timeouts.evaluate = \"11m\"", "timeouts.evaluate = \"12m\""),
    ("timeouts.build = \"3h\"", "timeouts.build = \"4h\""),
    ("timeouts.copy = \"2h\"", "timeouts.copy = \"3h\""),
    ("timeouts.activate = \"16m\"", "timeouts.activate = \"17m\""),
];

const STANDS_WITHOUT: [Correction; 26] = [
    ("collect_every = \"2d\"", "collect_every = \"3d\""),
    ("builds = 3", "builds = 4"),
    ("poll_interval = \"5m\"", "poll_interval = \"6m\""),
    ("fetch_timeout = \"2m\"", "fetch_timeout = \"3m\""),
    ("forced_push = \"refuse\"", "forced_push = \"follow\""),
    (
        "url = \"file:///srv/other.git\"",
        "url = \"file:///srv/third.git\"",
    ),
    (
        "repository = \"infra-team/other\"",
        "repository = \"infra-team/infra\"",
    ),
    ("policy = \"enforce\"", "policy = \"observe\""),
    ("interval = \"1m\"", "interval = \"2m\""),
    (
        "availability = \"always\"",
        "availability = \"intermittent\"",
    ),
    ("overdue_after = \"1d\"", "overdue_after = \"2d\""),
    (
        "windows = []",
        "windows = [{ from = \"02:00\", to = \"05:00\", time_zone = \"UTC\" }]",
    ),
    (
        "freezes = []",
        "freezes = [{ from = \"2026-12-20\", to = \"2027-01-02\", time_zone = \"UTC\", why = \"x\" }]",
    ),
    ("backoff.first = \"11s\"", "backoff.first = \"12s\""),
    ("backoff.factor = 3.0", "backoff.factor = 4.0"),
    ("backoff.max = \"2h\"", "backoff.max = \"3h\""),
    ("backoff.jitter = 0.1", "backoff.jitter = 0.2"),
    (
        "reboot.policy = \"never\"",
        "reboot.policy = \"when-required\"",
    ),
    (
        "reboot.windows = []",
        "reboot.windows = [{ from = \"02:00\", to = \"05:00\", time_zone = \"UTC\" }]",
    ),
    ("reboot.deadline = \"11m\"", "reboot.deadline = \"12m\""),
    (
        "store.collect_every = \"7d\"",
        "store.collect_every = \"8d\"",
    ),
    (
        "store.collect_when_free_below = \"1M\"",
        "store.collect_when_free_below = \"2M\"",
    ),
    ("store.keep_for = \"14d\"", "store.keep_for = \"15d\""),
    ("store.keep_proven = 2", "store.keep_proven = 3"),
    ("store.timeout = \"1h\"", "store.timeout = \"2h\""),
    ("[hosts.spare]", "[hosts.other]"),
];

/// Whether the correction makes another deployment of the host.
fn makes_another((line, corrected): Correction) -> bool {
    let lines = TEXT
        .lines()
        .map(|here| if here == line { corrected } else { here });
    let text = lines.collect::<Vec<_>>().join("\n");
    let (before, after) = (config(TEXT), config(&text));
    assert_ne!(before, after, "{line} is not corrected");
    let name = host("cyt-pi");
    before.fingerprint_of(&name) != after.fingerprint_of(&name)
}

#[test]
fn a_correction_of_what_a_deployment_stands_on_makes_it_another() {
    for correction in STANDS_ON {
        assert!(makes_another(correction), "{correction:?}");
    }
}

#[test]
fn a_correction_of_anything_else_leaves_a_deployment_as_it_is() {
    for correction in STANDS_WITHOUT {
        assert!(!makes_another(correction), "{correction:?}");
    }
}

#[test]
fn every_key_of_the_text_is_tried() {
    let tried: BTreeSet<&str> = STANDS_ON
        .iter()
        .chain(&STANDS_WITHOUT)
        .map(|(line, _)| *line)
        .collect();
    let keys = TEXT.lines().filter(|line| line.contains('='));
    let missing: Vec<&str> = keys.filter(|line| !tried.contains(line)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn the_same_settings_have_the_same_fingerprint_and_a_stranger_has_none() {
    let of = |name: &str| config(TEXT).fingerprint_of(&host(name));
    assert!(of("cyt-pi").is_some());
    assert_eq!(of("cyt-pi"), of("cyt-pi"));
    assert_eq!(of("stranger"), None);
}
