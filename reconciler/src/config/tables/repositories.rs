//! The tables `[repositories."owner/name"]`.

use std::collections::BTreeMap;
use std::time::Duration;

use desired_state::{RepositoryName, Signers};
use planning::model::spec::{ForcedPush, RepositoryAccess, RepositoryConfig};

use super::repository_url::{RepositoryUrl, Transport, repository_url};
use crate::config::model::SshConfig;
use crate::config::reader::values::{Given, SECOND, choice, duration, text};
use crate::config::reader::{PathRole, Problem, Section, nearest, quoted};

/// The user name sent with a token; Gitea takes any.
const DEFAULT_USER: &str = "reconcile";

/// The safety net beneath the webhook: a push whose delivery was lost waits no longer.
const POLL_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The first fetch of a large repository over a slow line.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2 * 60);

/// What the file says about repositories.
pub(super) struct Repositories {
    /// Those without mistakes.
    pub settings: BTreeMap<RepositoryName, RepositoryConfig>,
    /// All, so that a mistake in one is not told again at each host that follows it.
    pub names: Vec<RepositoryName>,
}

impl Repositories {
    /// The repository that hosts follow which name none: the only one.
    pub fn only(&self) -> Option<&RepositoryName> {
        match self.names.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Reads the name of one of these.
    pub fn named(&self) -> impl Fn(Given<'_>) -> Result<RepositoryName, Problem> + Copy {
        |given| {
            let written = text(given)?;
            let known = |name: &&RepositoryName| name.as_str() == written;
            if let Some(name) = self.names.iter().find(known) {
                return Ok(name.clone());
            }
            let names: Vec<&str> = self.names.iter().map(RepositoryName::as_str).collect();
            let help = match nearest(&written, names.iter().copied()) {
                Some(name) => format!("did you mean {name:?}?"),
                None => format!(
                    "add [repositories.{written:?}] with its url, or name one that there is"
                ),
            };
            let why = if names.is_empty() {
                "there is none at all".to_owned()
            } else {
                format!("there is: {}", names.join(", "))
            };
            Err(Problem::new(
                format!("repository {} is not configured", quoted(&written)),
                why,
                help,
            ))
        }
    }
}

/// Reads all repositories.
pub(super) fn repositories(top: &mut Section<'_>, ssh: &SshConfig) -> Repositories {
    let mut all = Repositories {
        settings: BTreeMap::new(),
        names: Vec::new(),
    };
    for (key, table) in top.named_sections("repositories") {
        let name: RepositoryName = match key.name.parse() {
            Ok(name) => name,
            Err(error) => {
                let problem = Problem::new(
                    "this is not the name of a repository",
                    error_text(&error),
                    "write [repositories.\"owner/name\"], as in the repository's address on the server",
                );
                table.mistake(problem);
                continue;
            }
        };
        if let Some(twin) = all
            .names
            .iter()
            .find(|other| other.is_called(name.as_str()))
        {
            let why = format!(
                "{twin:?} is configured too, and the server does not tell upper case from lower",
                twin = twin.as_str()
            );
            table.mistake(Problem::new(
                "the repository stands twice",
                why,
                "remove one of the two",
            ));
        }
        all.names.push(name.clone());
        if let Some(settings) = repository(table, ssh) {
            all.settings.insert(name, settings);
        }
    }
    all
}

fn error_text(error: &desired_state::Invalid) -> String {
    error.why().to_owned()
}

/// `None` once a mistake is noted.
fn repository(mut table: Section<'_>, ssh: &SshConfig) -> Option<RepositoryConfig> {
    const FORCED: [(&str, ForcedPush); 2] = [
        ("refuse", ForcedPush::Refuse),
        ("follow", ForcedPush::Follow),
    ];
    let url = table.required("url", repository_url);
    let access = access(&mut table, url.as_ref(), ssh);
    let flake_folder = table.or("flake_folder", flake_folder, ".".to_owned());
    let poll_interval = table.or("poll_interval", duration(SECOND), POLL_INTERVAL);
    let fetch_timeout = table.or("fetch_timeout", duration(SECOND), FETCH_TIMEOUT);
    let forced_push = table.or("forced_push", choice(&FORCED), ForcedPush::Refuse);
    let signers = Signers {
        allowed_signers: table.path_at("allowed_signers_file", PathRole::AllowedSigners),
        openpgp_keyring: table.path_at("openpgp_keyring_file", PathRole::OpenpgpKeyring),
    };
    table.finish();
    Some(RepositoryConfig {
        url: url?.text,
        access: access?,
        flake_folder,
        poll_interval,
        fetch_timeout,
        forced_push,
        signers: (signers != Signers::default()).then_some(signers),
    })
}

/// `None` once a mistake is noted.
fn access(
    table: &mut Section<'_>,
    url: Option<&RepositoryUrl>,
    ssh: &SshConfig,
) -> Option<RepositoryAccess> {
    let key = table.path_at("ssh_key_file", PathRole::SshKey);
    let known_hosts = table.path_at("known_hosts_file", PathRole::KnownHosts);
    let file = table.path_at("token_file", PathRole::Token);
    let user = table.or("token_user", text, DEFAULT_USER.to_owned());
    let foreign: &[&str] = match url?.transport {
        Transport::Ssh => &["token_file", "token_user"],
        Transport::Https | Transport::Http => &["ssh_key_file", "known_hosts_file"],
        Transport::File => &[
            "ssh_key_file",
            "known_hosts_file",
            "token_file",
            "token_user",
        ],
    };
    let wrong = foreign
        .iter()
        .filter(|key| table.has(key))
        .inspect(|key| table.mistake_at(key, does_not_go(key)))
        .count();
    let access = match url?.transport {
        Transport::File => RepositoryAccess::None,
        Transport::Ssh => {
            if !table.has("ssh_key_file") {
                table.mistake_at("url", no_key());
            } else if known_hosts.is_none() && ssh.config_file.is_none() {
                table.warn_at("url", no_known_hosts());
            }
            RepositoryAccess::SshKey {
                key: key?,
                known_hosts,
            }
        }
        transport => {
            if !table.has("token_file") && table.has("token_user") {
                table.missing("token_file");
            }
            match file {
                Some(_) if transport == Transport::Http => table.warn_at("url", token_in_clear()),
                _ => {}
            }
            file.map_or(RepositoryAccess::None, |file| RepositoryAccess::Token {
                file,
                user,
            })
        }
    };
    (wrong == 0).then_some(access)
}

fn does_not_go(key: &str) -> Problem {
    let (goes_with, instead) = match key {
        "token_file" | "token_user" => ("http and https", "ssh_key_file"),
        _ => ("ssh", "token_file"),
    };
    Problem::new(
        format!("`{key}` does not go with this url"),
        format!("it serves {goes_with} urls only"),
        format!("remove it (an url of the other kind may take `{instead}`), or change the url"),
    )
}

fn no_key() -> Problem {
    Problem::new(
        "an ssh url needs `ssh_key_file`",
        "the daemon has no agent, and must not try whatever keys lie about: a server counts each as a failed login",
        "name the deploy key: ssh_key_file = \"/etc/reconcile/deploy-key\"",
    )
}

fn no_known_hosts() -> Problem {
    Problem::new(
        "there is no `known_hosts_file` for this ssh url",
        "an unknown host key is refused, so the server's must be in the known_hosts file of the user that runs \
         reconcile, or in /etc/ssh/ssh_known_hosts",
        "write the server's host key to a file (ssh-keyscan -p PORT HOST, then compare its fingerprint with the \
         server's own) and name it: known_hosts_file = \"…\"",
    )
}

fn token_in_clear() -> Problem {
    Problem::new(
        "the token crosses the network in clear text",
        "http does not encrypt",
        "use https, or ssh with a deploy key",
    )
}

/// A folder within the repository.
fn flake_folder(given: Given<'_>) -> Result<String, Problem> {
    let written = text(given)?;
    let trimmed = written.trim_start_matches("./").trim_end_matches('/');
    let inside = !written.starts_with('/')
        && trimmed
            .split('/')
            .all(|part| !part.is_empty() && part != ".." && (part != "." || trimmed == "."))
        && !trimmed
            .chars()
            .any(|c| c.is_control() || "?#&%\\".contains(c));
    match inside {
        _ if written == "./" => Ok(".".to_owned()),
        true => Ok(trimmed.to_owned()),
        false => Err(Problem::new(
            format!("{} is not a folder within the repository", quoted(&written)),
            "it is relative to the repository's root, without `..`, and stands in a flake's URL",
            "write it as in \"nixos\", or \".\" for the root",
        )),
    }
}
