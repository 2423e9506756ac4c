//! Pure: what git is told about a server, by its environment alone: a command line is there for everybody to read.
//!
//! # What of the machine's git configuration counts
//!
//! How servers are reached (proxies, certificate authorities, `safe.directory`), and nothing that would change what is
//! fetched: no other URL, helper, hook or prompt.

use std::ffi::OsStr;
use std::time::Duration;

use super::ssh::ssh_command;
use crate::mirror::address::{Address, for_git};
use crate::mirror::settings::{Access, MirrorSettings};

/// What stands for the URL on git's command lines. `url.URL.insteadOf` says what it means; git rewrites a URL once, so
/// no such rule of the machine's has a say (`alias_url` in git's remote.c).
pub(in crate::mirror) const SOURCE: &str = "reconcile-source:";

/// The variables of git's own that say how a server is reached, or where git and its configuration are (git(1),
/// ENVIRONMENT VARIABLES); all others would change what is done.
const KEPT: &[&str] = &[
    "GIT_EXEC_PATH",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_PROXY_SSL_CAINFO",
    "GIT_PROXY_SSL_CERT",
    "GIT_PROXY_SSL_KEY",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
];

/// Whether git must not see this variable of ours.
pub(super) fn is_dropped(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    name.starts_with("GIT_") && !KEPT.contains(&name.as_ref())
}

/// What OpenSSL reads, and git by another name: our words tell people to set it.
pub(super) const AUTHORITIES: [(&str, &str); 2] = [
    ("SSL_CERT_FILE", "GIT_SSL_CAINFO"),
    ("SSL_CERT_DIR", "GIT_SSL_CAPATH"),
];

/// The helper by which git gets the token, out of its file: an environment is no place for a secret either. All words are
/// the shell's own, so that no process is started with the token among its arguments.
const HELPER: &str = r#"!f() { test "$1" = get || return 0; IFS= read -r token < "$RECONCILE_TOKEN_FILE"; printf 'username=%s\npassword=%s\n' "$RECONCILE_TOKEN_USER" "${token%"$(printf '\r')"}"; }; f"#;

/// The variables for reaching the server.
pub(in crate::mirror) fn environment(
    settings: &MirrorSettings,
    address: &Address,
    limit: Duration,
) -> Vec<(String, String)> {
    let url = for_git(&settings.url);
    let mut config = vec![
        (format!("url.{url}.insteadOf"), SOURCE.to_owned()),
        ("core.hooksPath".to_owned(), "/dev/null".to_owned()),
        // Always a pack, never loose objects.
        ("fetch.unpackLimit".to_owned(), "1".to_owned()),
        // Empty: no helper of the machine's (gitcredentials(7)).
        ("credential.helper".to_owned(), String::new()),
    ];
    let mut variables = vec![
        // Causes are recognized by their English words.
        ("LC_ALL".to_owned(), "C".to_owned()),
        // ssh starts a ProxyCommand by it, and a service account's may be one that lets nobody in.
        ("SHELL".to_owned(), "/bin/sh".to_owned()),
        ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
        // Empty: nobody is asked (git_prompt in git's prompt.c).
        ("GIT_ASKPASS".to_owned(), String::new()),
        (
            "GIT_ALLOW_PROTOCOL".to_owned(),
            "file:http:https:ssh".to_owned(),
        ),
    ];
    match address {
        Address::File => {}
        Address::Ssh => {
            variables.push((
                "GIT_SSH_COMMAND".to_owned(),
                ssh_command(&settings.access, limit),
            ));
            variables.push(("GIT_SSH_VARIANT".to_owned(), "ssh".to_owned()));
        }
        Address::Http { origin } => {
            // As exact as can be: a rule of the machine's for a part of this URL would win otherwise.
            config.push((format!("http.{url}.sslVerify"), "true".to_owned()));
            config.push((format!("http.{url}.followRedirects"), "initial".to_owned()));
            if let Access::Token { file, username } = &settings.access {
                // For this server alone, whatever it redirects to.
                config.push((format!("credential.{origin}.helper"), HELPER.to_owned()));
                let file = file.display().to_string();
                variables.push(("RECONCILE_TOKEN_FILE".to_owned(), file));
                variables.push(("RECONCILE_TOKEN_USER".to_owned(), username.clone()));
            }
        }
    }
    variables.push(("GIT_CONFIG_COUNT".to_owned(), config.len().to_string()));
    for (number, (key, value)) in config.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{number}"), key));
        variables.push((format!("GIT_CONFIG_VALUE_{number}"), value));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::address::check_url;

    fn variables(url: &str, access: Access) -> Vec<(String, String)> {
        let address = check_url(url, &access).unwrap();
        let settings = MirrorSettings {
            directory: "/mirror".into(),
            url: url.to_owned(),
            access,
            timeout: Duration::from_secs(60),
        };
        environment(&settings, &address, settings.timeout)
    }

    #[test]
    fn a_token_is_for_its_own_server_alone_and_stays_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a token");
        let access = Access::Token {
            file: file.clone(),
            username: "reconcile".to_owned(),
        };
        let variables = variables("https://gitea.example:3000/a/b.git", access);
        let helpers = variables
            .iter()
            .filter(|(_, value)| value.contains(".helper"));
        let helpers: Vec<&str> = helpers.map(|(_, value)| value.as_str()).collect();
        let own = "credential.https://gitea.example:3000.helper";
        assert_eq!(
            helpers,
            ["credential.helper", own],
            "the empty one comes first"
        );
        let shell = ("SHELL".to_owned(), "/bin/sh".to_owned());
        assert!(variables.contains(&shell), "a ProxyCommand needs one");
        for contents in ["s3cret\\n", "s3cret\\n\n", "s3cret\\n\r\n"] {
            std::fs::write(&file, contents).unwrap();
            // As git does for a helper that begins with `!` (credential.c).
            #[expect(clippy::disallowed_methods, reason = "a test asks a real shell")]
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("{} get", &HELPER[1..])])
                .envs(variables.clone())
                .output()
                .unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(said, "username=reconcile\npassword=s3cret\\n\n");
        }
    }

    #[test]
    fn only_what_says_how_a_server_is_reached_is_handed_on() {
        for dropped in [
            "GIT_DIR",
            "GIT_SSL_NO_VERIFY",
            "GIT_CONFIG_COUNT",
            "GIT_TRACE",
            "GIT_SSH",
        ] {
            assert!(is_dropped(OsStr::new(dropped)), "{dropped}");
        }
        for kept in ["PATH", "https_proxy", "GIT_SSL_CAINFO", "GIT_CONFIG_GLOBAL"] {
            assert!(!is_dropped(OsStr::new(kept)), "{kept}");
        }
    }
}
