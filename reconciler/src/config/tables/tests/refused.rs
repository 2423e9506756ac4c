//! What is refused, where, and in which words.

use planning::model::spec::RepositoryAccess;

use crate::config::reader::Origin;
use crate::config::testing::{SMALL, check_mistake, config, host, mistakes, read_with};

#[test]
fn mistakes_in_the_environment_name_the_variable_and_never_an_unknown_ones_value() {
    let found = read_with(
        SMALL,
        &[
            ("RECONCILE_DEFAULT_INTERVAL", "hunter2"),
            ("RECONCILE_WEBHOOK_SECRET", "hunter2"),
            ("RECONCILE_DEFAULTS_INTERVAL", "60"),
            ("RECONCILE_LIMITS_BUILDS", "0"),
        ],
    );
    let message = found.unwrap_err().to_string();
    for part in [
        "environment variable RECONCILE_DEFAULT_INTERVAL: unknown",
        "did you mean `RECONCILE_DEFAULTS_INTERVAL`?",
        "did you mean `RECONCILE_WEBHOOK_SECRET_FILES`?",
        "environment variable RECONCILE_DEFAULTS_INTERVAL: defaults.interval: `60` has no unit",
        "environment variable RECONCILE_LIMITS_BUILDS: limits.builds: 0 is out of range",
    ] {
        assert!(message.contains(part), "expected {part:?} in:\n{message}");
    }
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn no_host_is_called_as_this_machines_store_is_in_the_metrics() {
    check_mistake(
        &SMALL.replace("[hosts.cyt-pi]", "[hosts.controller]"),
        "7:8",
        &[
            "no host can be called `controller`",
            "metrics",
            "attribute = \"controller\"",
        ],
    );
}

#[test]
fn every_mistake_is_told_at_once_and_in_order() {
    let found = mistakes(
        r#"state_direktory = "x"
[webhook]
listen = "localhost:9080"
path = "hook/"
secret_files = []
body_limit = "5M"
[ssh]
max_sessions = 11
[limits]
builds = 0
[nix]
keep_builds = -1
[log]
level = "inof"
format = "jsn"
[repositories."infra-team/infra"]
url = "https://gitea.example/infra-team/infra.git"
poll_interval = "soon"
[defaults]
destinations = ["x"]
interval = "10ms"
[defaults.backoff]
first = "2h"
factor = 0.5
jitter = 1.5
[hosts.cyt-pi]
repository = "infra-team/infar"
action = "swich"
branch = "a..b"
destinations = ["-oProxyCommand=evil", { ssh = "x", sudo = "yes" }, { sudo = true }, 5]
polcy = "observe"
[hosts."-bad"]
"#,
    );
    let lines: Vec<usize> = found
        .iter()
        .map(|diagnostic| match &diagnostic.origin {
            Origin::Place(place) => place.line,
            other => panic!("{other}"),
        })
        .collect();
    let expected = [
        1, 3, 4, 5, 6, 8, 10, 12, 14, 15, 18, 20, 21, 23, 24, 25, 27, 28, 29, 30, 30, 30, 30, 31,
        32,
    ];
    assert_eq!(lines, expected, "{found}");
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    check_mistake(
        &format!("{SMALL}intervall = \"1m\"\n"),
        "8:1",
        &[
            "unknown key `intervall` in [hosts.cyt-pi]",
            "\n 8 | intervall = \"1m\"\n   | ^^^^^^^^^\n",
            "did you mean `interval`?",
        ],
    );
    check_mistake(
        &format!("[webhok]\n{SMALL}"),
        "1:2",
        &["unknown key `webhok` at the top", "did you mean `webhook`?"],
    );
    check_mistake(
        &format!("{SMALL}[defaults.timeouts]\nbilud = \"1m\"\n"),
        "9:1",
        &["[defaults.timeouts]", "`build`?"],
    );
}

#[test]
fn values_of_another_type_are_told_apart() {
    check_mistake(
        &format!("{SMALL}interval = 60\n"),
        "8:12",
        &["`60` has no unit", "\"60s\""],
    );
    check_mistake(
        &format!("{SMALL}sudo = \"yes\"\n"),
        "8:9",
        &["hosts.cyt-pi.sudo", "true or false"],
    );
    check_mistake(
        &format!("{SMALL}timeouts = \"1m\"\n"),
        "8:13",
        &["a table is expected, not a string"],
    );
    check_mistake(
        &format!("{SMALL}destinations = \"a\"\n"),
        "8:17",
        &["a list is expected", "[\"…\"]"],
    );
    check_mistake(
        &format!("{SMALL}destinations = []\n"),
        "8:16",
        &["the list is empty"],
    );
    check_mistake(
        &format!("hosts = 5\n[repositories]{}", ""),
        "1:9",
        &["a table is expected, not an integer"],
    );
}

#[test]
fn what_stands_twice_is_told_with_both_lines() {
    check_mistake(
        "[nix]\nkeep_builds = 1\nkeep_builds = 2\n",
        "3:1",
        &["`keep_builds` stands twice", "on line 2"],
    );
    check_mistake(
        "[nix]\n[log]\n[nix]\n",
        "3:1",
        &["[nix] stands twice", "on line 1"],
    );
    check_mistake(
        &format!("{SMALL}destinations = [\"a\", {{ ssh = \"a\" }}]\n"),
        "8:22",
        &["`a` stands twice"],
    );
    check_mistake(
        &format!(
            "{SMALL}[repositories.\"Infra-Team/infra\"]\nurl = \"file:///x\"\n[defaults]\nrepository = \"infra-team/infra\"\n"
        ),
        "8:16",
        &["stands twice"],
    );
}

#[test]
fn a_text_that_is_not_toml_is_one_mistake_with_its_place() {
    check_mistake(
        "[nix]\nkeep_builds = five\n",
        "2:15",
        &["not TOML", "keep_builds = five"],
    );
    check_mistake("a = \"open\n", "1:10", &["not TOML"]);
}

#[test]
fn a_host_names_a_repository_that_there_is() {
    check_mistake(
        &format!("{SMALL}repository = \"infra-team/infar\"\n"),
        "8:15",
        &[
            "repository `infra-team/infar` is not configured",
            "did you mean \"infra-team/infra\"?",
        ],
    );
    check_mistake(
        "[hosts.a]\n",
        "1:8",
        &["the host has no repository", "add a table"],
    );
    let two = format!("{SMALL}[repositories.\"a/b\"]\nurl = \"file:///srv/b\"\n");
    check_mistake(
        &two,
        "7:8",
        &["there are several: infra-team/infra, a/b", "[defaults]"],
    );
    let config = config(&format!("{two}[defaults]\nrepository = \"a/b\"\n"));
    assert_eq!(
        config.hosts[&host("cyt-pi")].follows.repository.as_str(),
        "a/b"
    );
}

#[test]
fn a_mistake_in_a_repository_is_not_told_again_at_its_hosts() {
    let text = SMALL.replace("url =", "ulr =");
    let found = mistakes(&text);
    assert_eq!(
        found.iter().len(),
        2,
        "the unknown key and the missing one, but no host:\n{found}"
    );
}

#[test]
fn the_way_in_goes_with_the_url() {
    let repository = |lines: &str| format!("[repositories.\"a/b\"]\n{lines}\n[hosts.h]\n");
    let ssh = "url = \"git@h:a/b\"";
    let https = "url = \"https://h/a/b\"";
    check_mistake(&repository(ssh), "2:8", &["needs `ssh_key_file`"]);
    check_mistake(
        &repository(&format!("{ssh}\nssh_key_file = \"k\"\ntoken_file = \"t\"")),
        "4:15",
        &["does not go with"],
    );
    check_mistake(
        &repository(&format!("{https}\nssh_key_file = \"k\"")),
        "3:17",
        &["does not go with"],
    );
    check_mistake(
        &repository(&format!("{https}\ntoken_user = \"k\"")),
        "1:16",
        &["has no `token_file`"],
    );
    check_mistake(
        &repository("url = \"file:///srv/b\"\ntoken_file = \"t\""),
        "3:15",
        &["does not go with"],
    );
    check_mistake(
        &repository("ssh_key_file = \"~/.ssh/k\"\nurl = \"git@h:a/b\""),
        "2:17",
        &["`~`"],
    );

    let access = |lines: &str| {
        config(&repository(lines))
            .repositories
            .into_values()
            .next()
            .unwrap()
            .access
    };
    assert_eq!(access(https), RepositoryAccess::None);
    let token = RepositoryAccess::Token {
        file: "/etc/reconcile/t".into(),
        user: "reconcile".into(),
    };
    assert_eq!(access(&format!("{https}\ntoken_file = \"t\"")), token);
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    for line in [
        "url = \"https://me:hunter2@gitea.example/a/b\"",
        "url = \"https://me:hunter2@gitea.example/a/b\n",
        "url = [\"https://me:hunter2@gitea.example/a/b\"]",
        "url = \"https://me:hunter2@gitea.example/a/b\"\nflake_folder = \"https://me:hunter2@x\"",
        "url = \"https://gitea.example/a/b\"\ntoken = \"hunter2\"",
        "url = \"https://gitea.example/a/b\"\ntoken = hunter2",
    ] {
        let found = mistakes(&format!("[repositories.\"a/b\"]\n{line}\n[hosts.h]\n"));
        for text in [found.to_string(), format!("{found:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
    check_mistake(
        &format!("[webhook]\nsecret = \"hunter2\"\nsecret_files = [\"a\"]\n{SMALL}"),
        "2:1",
        &["a secret never stands in this file", "`secret_files`"],
    );
}
