//! What tests of several modules begin with.

use desired_state::HostName;

use super::loaded::Loaded;
use super::model::Config;
use super::reader::{Diagnostics, Source};
use super::tables::parse;

/// Where a text of a test is said to stand.
pub const FILE: &str = "/etc/reconcile/reconcile.toml";

/// The smallest useful configuration.
pub const SMALL: &str = r#"
[repositories."infra-team/infra"]
url = "ssh://git@gitea.example:2222/infra-team/infra.git"
ssh_key_file = "deploy-key"
known_hosts_file = "known_hosts"

[hosts.cyt-pi]
"#;

/// A configuration without secrets, to which a table can be added.
pub const BASE: &str = r#"
[repositories."infra-team/infra"]
url = "https://gitea.example/infra-team/infra.git"
[hosts.spare]
"#;

/// Reads `text`, in an environment with `variables`.
pub fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Diagnostics> {
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

/// Reads `text`, in an empty environment.
pub fn read(text: &str) -> Result<Loaded, Diagnostics> {
    read_with(text, &[])
}

/// The configuration that `text` makes; the message names the mistakes where there are any.
pub fn config(text: &str) -> Config {
    match read(text) {
        Ok(loaded) => (*loaded.config).clone(),
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// The mistakes of `text`.
pub fn mistakes(text: &str) -> Diagnostics {
    read(text).map(|loaded| loaded.config).expect_err(text)
}

/// Checks that `text` has one mistake, at `place` (`line:column`), whose message has all `parts`.
pub fn check_mistake(text: &str, place: &str, parts: &[&str]) {
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

/// A host's name.
pub fn host(name: &str) -> HostName {
    name.parse().unwrap()
}
