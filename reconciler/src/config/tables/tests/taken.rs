//! What is taken: defaults, paths, the environment, ranges.

use std::path::PathBuf;
use std::time::Duration;

use deploy::{Action, BuildOn, Destination};
use planning::model::spec::{BackoffConfig, RepositoryAccess};

use crate::config::model::LimitsConfig;
use crate::config::testing::{SMALL, check_mistake, config, host, read, read_with};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn what_is_not_said_has_a_default() {
    let config = config(SMALL);
    assert_eq!(config.state_directory, PathBuf::from("/var/lib/reconcile"));
    assert_eq!(
        config.control_socket,
        PathBuf::from("/var/lib/reconcile/control.sock")
    );
    assert_eq!(config.webhook, None);
    assert_eq!(config.operator_listen, Some(([127, 0, 0, 1], 9090).into()));
    assert_eq!((config.ssh.max_sessions, config.nix.keep_builds), (8, 5));
    assert_eq!(
        config.limits,
        LimitsConfig {
            builds: 2,
            copies: 4,
            activations: 8,
            rollbacks: 2,
        }
    );
    let host = &config.hosts[&host("cyt-pi")];
    assert_eq!(host.follows.repository.as_str(), "infra-team/infra");
    assert_eq!(host.follows.branch.as_str(), "main");
    assert_eq!(host.follows.attribute.as_str(), "cyt-pi");
    assert_eq!(
        host.reach.destinations,
        [Destination {
            address: "cyt-pi".to_owned(),
            sudo: deploy::Sudo::No
        }]
    );
    assert_eq!(host.action, Action::Switch);
    assert_eq!(
        (host.reach.interval, host.timeouts.build),
        (seconds(60), seconds(7200))
    );
    assert_eq!(
        host.backoff,
        BackoffConfig {
            first: seconds(10),
            factor: 2.0,
            max: seconds(3600),
            jitter: 0.2
        }
    );
}

#[test]
fn a_host_takes_what_it_does_not_say_from_the_defaults() {
    let config = config(&format!(
        "{SMALL}interval = \"5m\"\n[hosts.cyt-pi.timeouts]\nbuild = \"3h\"\n[hosts.uConsole]\nsudo = false\n\
         destinations = [\"a\", {{ ssh = \"b\", sudo = true }}]\n\
         [defaults]\ninterval = \"2m\"\nbranch = \"release\"\nsudo = true\nbuild_on = \"target\"\n\
         [defaults.timeouts]\nbuild = \"1h\"\ncopy = \"2h\"\n[defaults.backoff]\nfactor = 3\n",
    ));
    let (pi, console) = (
        &config.hosts[&host("cyt-pi")],
        &config.hosts[&host("uConsole")],
    );
    assert_eq!(
        (pi.reach.interval, console.reach.interval),
        (seconds(300), seconds(120))
    );
    assert_eq!(
        (pi.timeouts.build, console.timeouts.build),
        (seconds(10800), seconds(3600))
    );
    assert_eq!(
        (pi.timeouts.copy, pi.timeouts.activate),
        (seconds(7200), seconds(900))
    );
    assert_eq!(
        (pi.backoff.factor, pi.follows.branch.as_str()),
        (3.0, "release")
    );
    assert_eq!(pi.nix.build_on, BuildOn::Target);
    assert_eq!(pi.reach.destinations[0].sudo, deploy::Sudo::Yes);
    let sudo: Vec<_> = console
        .reach
        .destinations
        .iter()
        .map(|to| (to.address.as_str(), to.sudo))
        .collect();
    assert_eq!(sudo, [("a", deploy::Sudo::No), ("b", deploy::Sudo::Yes)]);
}

#[test]
fn an_absent_host_is_overdue_at_once_and_an_intermittent_one_after_a_week_unless_said() {
    let days = |n: u64| seconds(n * 24 * 60 * 60);
    let hosts = "[hosts.uConsole]\navailability = \"intermittent\"\n[hosts.spare]\noverdue_after = \"10m\"\n";
    let overdue_after = |text: &str| {
        let config = config(text);
        ["cyt-pi", "uConsole", "spare"].map(|name| config.hosts[&host(name)].reach.overdue_after)
    };
    assert_eq!(
        overdue_after(&format!("{SMALL}{hosts}")),
        [seconds(0), days(7), seconds(600)]
    );
    assert_eq!(
        overdue_after(&format!(
            "{SMALL}{hosts}[defaults]\noverdue_after = \"3d\"\n"
        )),
        [days(3), days(3), seconds(600)]
    );
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let config = config(&format!(
        "state_directory = \"./state\"\n[ssh]\nconfig_file = \"../ssh_config\"\n[webhook]\n\
         secret_files = [\"new\", \"/run/old\"]{SMALL}"
    ));
    assert_eq!(
        config.state_directory,
        PathBuf::from("/etc/reconcile/state")
    );
    assert_eq!(
        config.control_socket,
        PathBuf::from("/etc/reconcile/state/control.sock")
    );
    assert_eq!(
        config.ssh.config_file,
        Some("/etc/reconcile/../ssh_config".into())
    );
    let files = config.webhook.unwrap().secret_files;
    assert_eq!(
        files,
        [PathBuf::from("/etc/reconcile/new"), "/run/old".into()]
    );
    let access = &config.repositories.values().next().unwrap().access;
    let key = PathBuf::from("/etc/reconcile/deploy-key");
    assert_eq!(
        *access,
        RepositoryAccess::SshKey {
            key,
            known_hosts: Some("/etc/reconcile/known_hosts".into())
        }
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let loaded = read_with(
        &format!("[webhook]\nlisten = \"127.0.0.1:1\"\nsecret_files = [\"a\"]\n{SMALL}"),
        &[
            ("RECONCILE_STATE_DIRECTORY", "state"),
            ("RECONCILE_WEBHOOK_LISTEN", "0.0.0.0:2"),
            ("RECONCILE_WEBHOOK_SECRET_FILES", "b:/run/c"),
            ("RECONCILE_WEBHOOK_BODY_LIMIT", "4096"),
            ("RECONCILE_OPERATOR_LISTEN", "off"),
            ("RECONCILE_DEFAULTS_INTERVAL", "7m"),
            ("RECONCILE_DEFAULTS_SUDO", "true"),
            ("RECONCILE_DEFAULTS_TIMEOUTS_BUILD", "9h"),
            ("RECONCILE_DEFAULTS_BACKOFF_JITTER", "0"),
            ("RECONCILE_SSH_CONFIG_FILE", ""),
            ("RECONCILE_CONFIG", "/elsewhere"),
            ("RECONCILE_SERVICE_HOST", "10.0.0.1"),
            ("PATH", "/bin"),
        ],
    );
    let config = loaded
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
        .config;
    // A person who sets a variable stands in the working directory, not beside the file.
    assert_eq!(config.state_directory, PathBuf::from("/home/op/state"));
    let webhook = config.webhook.clone().unwrap();
    assert_eq!(
        (webhook.listen, webhook.body_limit),
        (([0, 0, 0, 0], 2).into(), 4096)
    );
    assert_eq!(
        webhook.secret_files,
        [PathBuf::from("/home/op/b"), "/run/c".into()]
    );
    assert_eq!(
        (config.operator_listen, config.ssh.config_file.clone()),
        (None, None)
    );
    let host = &config.hosts[&host("cyt-pi")];
    assert_eq!(
        (
            host.reach.interval,
            host.timeouts.build,
            host.backoff.jitter
        ),
        (seconds(420), seconds(32400), 0.0)
    );
    assert_eq!(host.reach.destinations[0].sudo, deploy::Sudo::Yes);
}

#[test]
fn a_variable_alone_turns_the_receiver_on() {
    let loaded = read_with(SMALL, &[("RECONCILE_WEBHOOK_SECRET_FILES", "/run/secret")]).unwrap();
    assert_eq!(
        loaded.config.webhook.as_ref().unwrap().secret_files,
        [PathBuf::from("/run/secret")]
    );
    let missing = read_with(SMALL, &[("RECONCILE_WEBHOOK_LISTEN", "0.0.0.0:80")])
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("secret_files") && missing.contains("RECONCILE_WEBHOOK_SECRET_FILES"),
        "{missing}"
    );
}

#[test]
fn what_is_risky_but_lawful_is_a_warning() {
    let warnings = |text: &str| read(text).unwrap().warnings.to_string();
    assert_eq!(warnings(SMALL), "");
    let no_known_hosts = SMALL.replace("known_hosts_file", "#");
    assert!(warnings(&no_known_hosts).contains("known_hosts_file"));
    // An ssh_config may name the file itself.
    assert_eq!(
        warnings(&format!("[ssh]\nconfig_file = \"c\"\n{no_known_hosts}")),
        ""
    );
    let token = "[repositories.\"a/b\"]\nurl = \"http://h/a/b\"\ntoken_file = \"t\"\n[hosts.h]\n";
    assert!(warnings(token).contains("clear text"));
    assert!(
        warnings(&format!("{SMALL}build_on = \"traget\"\n")).contains("did you mean `target`?")
    );
    assert_eq!(
        warnings(&format!("{SMALL}build_on = \"builder@big\"\n")),
        ""
    );
    assert!(warnings(&SMALL.replace("[hosts.cyt-pi]", "")).contains("no hosts"));
    let unused = format!(
        "{SMALL}repository = \"infra-team/infra\"\n[repositories.\"a/b\"]\nurl = \"file:///b\"\n"
    );
    assert!(warnings(&unused).contains("no host follows a/b"));
}

#[test]
fn ranges_hold_at_their_ends() {
    for (line, right) in [
        ("[ssh]\nmax_sessions = 10", true),
        ("[ssh]\nmax_sessions = 0", false),
        ("[defaults.backoff]\njitter = 1", true),
        ("[defaults.backoff]\njitter = nan", false),
        ("[defaults.backoff]\nfactor = 1.0", true),
        ("[defaults.backoff]\nfactor = 0.99", false),
        ("[defaults.backoff]\nfirst = \"1h\"\nmax = \"1h\"", true),
        ("[defaults.backoff]\nfirst = \"61s\"\nmax = \"1m\"", false),
        ("[defaults.backoff]\nmax = \"5s\"", false),
        ("[hosts.b.backoff]\nfirst = \"61m\"", false),
        ("[hosts.b]\ninterval = \"1s\"", true),
        ("[hosts.b]\ninterval = \"999ms\"", false),
        ("[defaults.timeouts]\nconnect = \"0s\"", false),
        (
            "[webhook]\nsecret_files = [\"a\"]\ndelivery_grace = \"0s\"",
            true,
        ),
        ("[webhook]\nsecret_files = [\"a\", \"./a\"]", false),
        ("[webhook]\nsecret_files = [\"a\"]\npath = \"/\"", false),
        ("[webhook]\nsecret_files = [\"a\"]\npath = \"/a/b-c\"", true),
        ("[webhook]", false),
        ("[log]\nlevel = \"info,reconciler=debug\"", true),
        ("[log]\nlevel = \"reconciler=loud\"", false),
        ("[operator]\nlisten = \"off\"", true),
    ] {
        let result = read(&format!("{SMALL}{line}\n"));
        assert_eq!(result.is_ok(), right, "{line}: {:?}", result.err());
    }
    let long = "x".repeat(100);
    check_mistake(
        &format!("control_socket = \"/{long}/s.sock\"\n{SMALL}"),
        "1:19",
        &["too long for a unix socket"],
    );
}

#[test]
fn folders_of_the_flake_stay_within_the_repository() {
    for (folder, read_as) in [
        (".", Some(".")),
        ("./", Some(".")),
        ("nixos", Some("nixos")),
        ("./a/b/", Some("a/b")),
    ] {
        let line = format!("flake_folder = \"{folder}\"\n[hosts.cyt-pi]");
        let config = config(&SMALL.replace("[hosts.cyt-pi]", &line));
        assert_eq!(
            Some(
                config
                    .repositories
                    .into_values()
                    .next()
                    .unwrap()
                    .flake_folder
                    .as_str()
            ),
            read_as
        );
    }
    for folder in ["/abs", "..", "a/../..", "a//b", "a?dir=b", "a#b", "a/./b"] {
        let line = format!("flake_folder = \"{folder}\"\n[hosts.cyt-pi]");
        assert!(
            read(&SMALL.replace("[hosts.cyt-pi]", &line)).is_err(),
            "{folder}"
        );
    }
}
