//! Pure: the command line of the OpenSSH client for one fetch.

use std::path::Path;
use std::time::Duration;

use crate::mirror::address::SshAddress;
use crate::mirror::settings::Access;

/// How long OpenSSH waits for a connection at most: three retransmissions of the first packet (RFC 6298), so that a
/// wrong address is named as one well before the fetch's own limit.
const CONNECT: Duration = Duration::from_secs(15);

/// The program.
pub(super) const PROGRAM: &str = "ssh";

/// An `ssh` command line that runs `git-upload-pack` on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshCommand {
    arguments: Vec<String>,
}

impl SshCommand {
    /// Builds the command line, for a fetch that may take `limit`.
    ///
    /// `address` and `access` were checked by `check_url`: no host and no user begins with `-`, and no path holds
    /// what ssh_config(5) would read as more than a character.
    pub(crate) fn new(address: &SshAddress, access: &Access, limit: Duration) -> Self {
        let mut arguments = vec![
            "-T".to_owned(), // no terminal
            "-a".to_owned(), // no agent forwarding
            "-x".to_owned(), // no X11 forwarding
        ];
        let connect = CONNECT.min(limit).as_secs().max(1);
        let mut option = |option: String| arguments.extend(["-o".to_owned(), option]);
        for fixed in [
            // Nobody is there to answer a question.
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            // A file that a person keeps is not ours to write to.
            "UpdateHostKeys=no",
            // The configured key and no other; an agent would offer its keys first and use up the server's patience.
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "PreferredAuthentications=publickey",
            // A shared connection outlives the fetch, may be dead, and skips the check of the host key.
            "ControlMaster=no",
            "ControlPath=none",
            // What an ssh_config may hold for logins, and would break or widen a fetch.
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
            "RequestTTY=no",
            // Notices a dead connection within 45 s; the words "not responding" are written at level INFO.
            "ServerAliveInterval=15",
            "ServerAliveCountMax=3",
            "LogLevel=INFO",
        ] {
            option(fixed.to_owned());
        }
        option(format!("ConnectTimeout={connect}"));
        if let Access::SshKey {
            key,
            known_hosts,
            ssh_config,
        } = access
        {
            if let Some(known_hosts) = known_hosts {
                option(format!("UserKnownHostsFile=\"{}\"", file(known_hosts)));
                option("GlobalKnownHostsFile=/dev/null".to_owned());
            }
            option(format!("IdentityFile=\"{}\"", file(key)));
            if let Some(ssh_config) = ssh_config {
                arguments.extend(["-F".to_owned(), ssh_config.display().to_string()]);
            }
        }
        if let Some(port) = address.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = &address.user {
            arguments.extend(["-l".to_owned(), user.clone()]);
        }
        arguments.extend([
            "--".to_owned(),
            address.host.clone(),
            format!("git-upload-pack {}", quoted(&address.path)),
        ]);
        Self { arguments }
    }

    /// The arguments, without the program.
    pub(super) fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

/// A file name for `ssh -o`, where `%` begins a token (ssh_config(5), TOKENS).
fn file(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

/// Quotes a path for the remote shell, as git does (`sq_quote_buf` in git's quote.c): Gitea's parser of
/// SSH_ORIGINAL_COMMAND and every POSIX shell read it, and csh needs the `!` escaped.
fn quoted(path: &str) -> String {
    let mut quoted = String::from("'");
    for c in path.chars() {
        match c {
            '\'' | '!' => {
                quoted.push_str("'\\");
                quoted.push(c);
                quoted.push('\'');
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(user: Option<&str>, port: Option<u16>, access: &Access) -> Vec<String> {
        let address = SshAddress {
            user: user.map(str::to_owned),
            host: "gitea".to_owned(),
            port,
            path: "/infra/infra.git".to_owned(),
        };
        SshCommand::new(&address, access, Duration::from_secs(120)).arguments
    }

    #[test]
    fn the_configured_key_known_hosts_and_ssh_config_are_the_only_ones() {
        let access = Access::SshKey {
            key: "/etc/my keys/100%".into(),
            known_hosts: Some("/etc/known hosts".into()),
            ssh_config: Some("/etc/reconcile/ssh_config".into()),
        };
        let arguments = command(Some("git"), Some(2222), &access);
        let has = |expected: &[&str]| arguments.windows(expected.len()).any(|w| w == expected);
        assert!(has(&["-o", "IdentityFile=\"/etc/my keys/100%%\""]));
        assert!(has(&["-o", "IdentitiesOnly=yes"]));
        assert!(has(&["-o", "StrictHostKeyChecking=yes"]));
        assert!(has(&["-o", "UserKnownHostsFile=\"/etc/known hosts\""]));
        assert!(has(&["-o", "GlobalKnownHostsFile=/dev/null"]));
        assert!(has(&["-F", "/etc/reconcile/ssh_config"]));
        let tail = [
            "-p",
            "2222",
            "-l",
            "git",
            "--",
            "gitea",
            "git-upload-pack '/infra/infra.git'",
        ];
        assert!(arguments.ends_with(&tail.map(str::to_owned)));
    }

    #[test]
    fn what_the_url_does_not_say_is_left_to_ssh_config() {
        let access = Access::SshKey {
            key: "/k".into(),
            known_hosts: None,
            ssh_config: None,
        };
        let arguments = command(None, None, &access);
        for absent in ["-p", "-l", "-F"] {
            assert!(!arguments.iter().any(|a| a == absent), "{absent}");
        }
        assert!(!arguments.iter().any(|a| a.contains("KnownHostsFile")));
    }

    #[test]
    fn a_path_reaches_the_remote_command_as_one_word() {
        for path in ["/a b/$(x);`y`.git", "it's", "a!b", "~/x\\", "\"", "-"] {
            // The remote shell is played by the local one.
            #[expect(clippy::disallowed_methods, reason = "a test asks a real shell")]
            let output = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", quoted(path)))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), path);
        }
    }

    #[test]
    fn the_wait_for_a_connection_is_never_longer_than_the_fetch_may_take() {
        let address = SshAddress {
            user: None,
            host: "h".to_owned(),
            port: None,
            path: "p".to_owned(),
        };
        for (limit, expected) in [
            (3, "ConnectTimeout=3"),
            (120, "ConnectTimeout=15"),
            (0, "ConnectTimeout=1"),
        ] {
            let command = SshCommand::new(&address, &Access::None, Duration::from_secs(limit));
            assert!(
                command.arguments.iter().any(|a| a == expected),
                "{expected}"
            );
        }
    }
}
