//! The environment that Nix, and git and ssh below it, run in. No secret is in it: variables can be read by others of the same
//! user (`/proc/PID/environ`), files of mode 0600 that only we name cannot be forgotten in a log.

use std::path::Path;

use crate::nix::access::InputAccess;
use crate::shell::{self, NulByte};

/// A variable to set, or with `None` to remove.
pub(crate) type Variable = (String, Option<String>);

/// What the environment depends on.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// How private inputs are reached.
    pub(crate) access: &'a InputAccess,
    /// The `ssh_config` file.
    pub(crate) ssh_config: Option<&'a Path>,
    /// Nix's caches: fetched inputs, what is known about substituters.
    pub(crate) cache: &'a Path,
    /// The netrc file, if the access needs one.
    pub(crate) netrc: &'a Path,
    /// `NIX_CONFIG` as we were given it.
    pub(crate) nix_config: &'a str,
    /// `GIT_CONFIG_COUNT` as we were given it.
    pub(crate) git_config_count: usize,
}

/// The variables for all that Nix does here.
///
/// # Errors
/// When a path or a name has a NUL byte.
pub(crate) fn variables(given: &Surroundings<'_>) -> Result<Vec<Variable>, NulByte> {
    let mut config = given.nix_config.to_owned();
    // The later line wins. The first makes flakes work where nix.conf does not name them; the second
    // keeps a repository from naming its own caches and hooks (nix.conf(5), "accept-flake-config").
    config.push_str(
        "\nextra-experimental-features = nix-command flakes\naccept-flake-config = false\n",
    );
    let mut variables = vec![
        set("XDG_CACHE_HOME", given.cache.to_string_lossy()),
        // Messages are read by us: in English.
        set("LC_ALL", "C"),
        // Nobody is there to answer.
        set("GIT_TERMINAL_PROMPT", "0"),
        set("GIT_ASKPASS", ""),
        set("SSH_ASKPASS_REQUIRE", "never"),
        // These would point git at another repository than the one it is told to read.
        ("GIT_DIR".into(), None),
        ("GIT_WORK_TREE".into(), None),
        ("GIT_INDEX_FILE".into(), None),
    ];
    match given.access {
        InputAccess::None => {
            if given.ssh_config.is_some() {
                variables.push(set(
                    "GIT_SSH_COMMAND",
                    ssh_command(given.ssh_config, None, None)?,
                ));
            }
        }
        InputAccess::SshKey { key, known_hosts } => variables.push(set(
            "GIT_SSH_COMMAND",
            ssh_command(given.ssh_config, Some(key), known_hosts.as_deref())?,
        )),
        InputAccess::Token {
            host,
            username,
            file,
        } => {
            config.push_str(&format!("netrc-file = {}\n", given.netrc.display()));
            // The empty value drops helpers that the machine's configuration has for the same server.
            let helper = credential_helper(username, file)?;
            let settings = ["https", "http"].into_iter().flat_map(|scheme| {
                let key = format!("credential.{scheme}://{host}.helper");
                [(key.clone(), String::new()), (key, helper.clone())]
            });
            let mut count = given.git_config_count;
            for (key, value) in settings {
                variables.push(set(&format!("GIT_CONFIG_KEY_{count}"), key));
                variables.push(set(&format!("GIT_CONFIG_VALUE_{count}"), value));
                count += 1;
            }
            variables.push(set("GIT_CONFIG_COUNT", count.to_string()));
        }
    }
    variables.push(set("NIX_CONFIG", config));
    Ok(variables)
}

fn set(name: &str, value: impl Into<String>) -> Variable {
    (name.to_owned(), Some(value.into()))
}

/// The `ssh` that git runs, as a line for a shell (git(1), `GIT_SSH_COMMAND`).
fn ssh_command(
    config: Option<&Path>,
    key: Option<&Path>,
    known_hosts: Option<&Path>,
) -> Result<String, NulByte> {
    let mut words = vec!["ssh".to_owned()];
    if let Some(config) = config {
        words.extend(["-F".into(), config.to_string_lossy().into_owned()]);
    }
    words.extend(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"].map(str::to_owned));
    if let Some(key) = key {
        // `-i` would look for the file before it expands `%%`.
        words.extend([
            "-o".into(),
            "IdentitiesOnly=yes".into(),
            "-o".into(),
            ssh_file("IdentityFile", key),
        ]);
    }
    if let Some(known_hosts) = known_hosts {
        words.extend(["-o".into(), ssh_file("UserKnownHostsFile", known_hosts)]);
    }
    let words: Result<Vec<_>, _> = words.iter().map(|word| shell::quoted(word)).collect();
    Ok(words?.join(" "))
}

/// An ssh option whose value is a file. It is split at spaces, unless quoted (ssh_config(5)).
fn ssh_file(option: &str, path: &Path) -> String {
    format!("{option}=\"{}\"", ssh_path(path))
}

/// A path for an ssh option that expands `%` tokens (ssh_config(5), "TOKENS").
fn ssh_path(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%%")
}

/// `NIX_SSHOPTS` for a copy: the `ssh_config` file, a port, and the connection to share. `None` if a
/// path has white space, which Nix 2.8 cannot be told (it splits the variable at spaces).
pub(crate) fn ssh_options(
    config: Option<&Path>,
    port: Option<&str>,
    control_socket: Option<&Path>,
) -> Option<String> {
    let mut words = Vec::new();
    if let Some(config) = config {
        words.extend(["-F".to_owned(), config.to_string_lossy().into_owned()]);
    }
    if let Some(port) = port {
        words.extend(["-p".to_owned(), port.to_owned()]);
    }
    words.extend([
        "-oBatchMode=yes".to_owned(),
        "-oControlMaster=no".to_owned(),
    ]);
    words.push(match control_socket {
        Some(socket) => format!("-oControlPath={}", ssh_path(socket)),
        None => "-oControlPath=none".to_owned(),
    });
    let splits_well = words
        .iter()
        .all(|word| !word.contains(|c: char| c.is_whitespace() || "'\"\\".contains(c)));
    splits_well.then(|| words.join(" "))
}

/// The git credential helper, a shell snippet that git appends its request to (gitcredentials(7)): reads the
/// token anew each time, so that a rotated file counts at once. `printf` and the file's text stay inside the
/// shell; no process list shows them. It is no file: whatever is set up anew meanwhile, a command keeps its own.
fn credential_helper(username: &str, token_file: &Path) -> Result<String, NulByte> {
    Ok(format!(
        "!f() {{ [ \"$1\" = get ] || exit 0; printf 'username=%s\\npassword=%s\\n' {} \"$(cat {})\"; }}; f",
        shell::quoted(username)?,
        shell::quoted(&token_file.to_string_lossy())?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn environment(
        access: &InputAccess,
        ssh_config: Option<&Path>,
    ) -> BTreeMap<String, Option<String>> {
        variables(&Surroundings {
            access,
            ssh_config,
            cache: Path::new("/s/cache"),
            netrc: Path::new("/s/netrc"),
            nix_config: "accept-flake-config = true",
            git_config_count: 1,
        })
        .unwrap()
        .into_iter()
        .collect()
    }

    #[test]
    fn flakes_work_and_a_flake_never_configures_nix_whatever_the_machine_says() {
        let config = environment(&InputAccess::None, None)["NIX_CONFIG"]
            .clone()
            .unwrap();
        assert!(config.contains("\nextra-experimental-features = nix-command flakes\n"));
        assert!(
            config.find("= true").unwrap() < config.find("accept-flake-config = false").unwrap()
        );
    }

    #[test]
    fn the_machines_own_ssh_is_used_where_nothing_is_configured() {
        assert!(!environment(&InputAccess::None, None).contains_key("GIT_SSH_COMMAND"));
    }

    #[test]
    fn git_gets_the_key_and_strict_host_keys_with_awkward_paths_quoted() {
        let access = InputAccess::SshKey {
            key: "/k/a b%".into(),
            known_hosts: Some("/k/it's".into()),
        };
        let environment = environment(&access, Some(Path::new("/etc/ssh config")));
        let command = environment["GIT_SSH_COMMAND"].as_deref().unwrap();
        // As git does (git(1), `GIT_SSH_COMMAND`).
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("printf '%s\\n' {command}")])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "ssh\n-F\n/etc/ssh config\n-o\nBatchMode=yes\n-o\nStrictHostKeyChecking=yes\n\
             -o\nIdentitiesOnly=yes\n-o\nIdentityFile=\"/k/a b%%\"\n-o\nUserKnownHostsFile=\"/k/it's\"\n"
        );
    }

    #[test]
    fn a_token_is_reached_through_files_after_what_git_was_already_told() {
        let access = InputAccess::Token {
            host: "git.example:3000".into(),
            username: "u".into(),
            file: "/it's a token".into(),
        };
        let environment = environment(&access, None);
        let value = |name: &str| environment[name].as_deref().unwrap();
        assert_eq!(value("GIT_CONFIG_COUNT"), "5");
        assert_eq!(
            value("GIT_CONFIG_KEY_1"),
            "credential.https://git.example:3000.helper"
        );
        assert_eq!(value("GIT_CONFIG_VALUE_1"), "");
        assert_eq!(
            value("GIT_CONFIG_VALUE_2"),
            credential_helper("u", Path::new("/it's a token")).unwrap()
        );
        assert_eq!(
            value("GIT_CONFIG_KEY_4"),
            "credential.http://git.example:3000.helper"
        );
        assert!(value("NIX_CONFIG").contains("\nnetrc-file = /s/netrc\n"));
    }

    #[test]
    fn the_credential_helper_answers_git_with_the_files_token() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("it's $HOME");
        std::fs::write(&token, "s3cret\n").unwrap();
        let run = |request: &str| {
            // As git does.
            let helper = credential_helper("o'neill", &token).unwrap();
            let snippet = helper.strip_prefix('!').unwrap();
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("{snippet} {request}")])
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run("get"), "username=o'neill\npassword=s3cret\n");
        assert_eq!(run("store"), "");
    }

    #[test]
    fn a_copy_shares_the_connection_and_never_asks() {
        assert_eq!(
            ssh_options(
                Some(Path::new("/c/ssh_config")),
                Some("2424"),
                Some(Path::new("/run/r/s"))
            )
            .unwrap(),
            "-F /c/ssh_config -p 2424 -oBatchMode=yes -oControlMaster=no -oControlPath=/run/r/s"
        );
        assert_eq!(ssh_options(Some(Path::new("/c c")), None, None), None);
    }
}
