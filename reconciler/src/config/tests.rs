//! The configuration as a whole: what is taken, what is refused, and in which words.

mod example;
mod proof;
mod reboot;
mod refused;
mod store;
mod taken;
mod windows;

use super::*;

const FILE: &str = "/etc/reconcile/reconcile.toml";

/// The smallest useful configuration.
const SMALL: &str = r#"
[repositories."infra-team/infra"]
url = "ssh://git@gitea.example:2222/infra-team/infra.git"
ssh_key_file = "deploy-key"
known_hosts_file = "known_hosts"

[hosts.cyt-pi]
"#;

fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    let source = Source {
        file: FILE.into(),
        text: text.to_owned(),
        working_directory: "/home/op".into(),
    };
    let set = variables
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    parse(source, &set.collect())
}

fn read(text: &str) -> Result<Loaded, Mistakes> {
    read_with(text, &[])
}

/// The configuration that `text` makes; the message names the mistakes where there are any.
fn config(text: &str) -> Config {
    match read(text) {
        Ok(loaded) => (*loaded.config).clone(),
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// The mistakes of `text`.
fn mistakes(text: &str) -> Mistakes {
    read(text).map(|loaded| loaded.config).expect_err(text)
}

/// Checks that `text` has one mistake, at `place` (`line:column`), whose message has all `parts`.
fn check_mistake(text: &str, place: &str, parts: &[&str]) {
    let found = mistakes(text);
    assert_eq!(found.iter().len(), 1, "{found}");
    let message = found.to_string();
    assert!(
        message.starts_with(&format!("{FILE}:{place}: ")),
        "expected at {place}:\n{message}"
    );
    for part in parts {
        assert!(message.contains(part), "expected {part:?} in:\n{message}");
    }
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
