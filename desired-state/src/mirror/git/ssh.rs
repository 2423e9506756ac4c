//! Pure: the command by which git starts the OpenSSH client.

use std::path::Path;
use std::time::Duration;

use crate::mirror::settings::Access;

/// How long OpenSSH waits for a connection at most: three retransmissions of the first packet (RFC 6298), so that a
/// wrong address is named as one well before the fetch's own limit.
const CONNECT: Duration = Duration::from_secs(15);

/// What our command says in the end, with ssh's exit status: git itself ends with 128 for every failure, and only the
/// status tells ssh's own words from those of the other side.
pub(super) const ENDED_WITH: &str = "reconcile: ssh ended with ";

/// The value of `GIT_SSH_COMMAND`, which git hands to a shell with the host and the remote command as arguments.
///
/// `access` was checked by `check_url`: no path in it holds a quote, nor what ssh_config(5) would read as more than a
/// character.
pub(super) fn ssh_command(access: &Access, limit: Duration) -> String {
    let connect = CONNECT.min(limit).as_secs().max(1);
    let mut words = vec!["ssh -T -a -x".to_owned()]; // no terminal, no agent, no X11
    let mut option = |option: String| words.push(format!("-o '{option}'"));
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
            words.push(format!("-F '{}'", ssh_config.display()));
        }
    }
    let ssh = words.join(" ");
    format!("f() {{ {ssh} \"$@\"; s=$?; echo \"{ENDED_WITH}$s\" >&2; return $s; }}; f")
}

/// A file name for `ssh -o`, where `%` begins a token (ssh_config(5), TOKENS).
fn file(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shell makes of the command: the words that ssh is given.
    fn words(access: &Access, limit: u64) -> Vec<String> {
        let command = ssh_command(access, Duration::from_secs(limit));
        #[expect(clippy::disallowed_methods, reason = "a test asks a real shell")]
        let output = std::process::Command::new("sh")
            .arg("-c")
            // As git does (prepare_shell_cmd in its run-command.c), with an ssh that shows what it is given.
            .arg(format!(
                "ssh() {{ printf '%s\\n' \"$@\"; return 3; }}; {command} \"$@\""
            ))
            .args(["ssh", "git@gitea", "git-upload-pack '/infra/infra.git'"])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("{ENDED_WITH}3\n"));
        let words = String::from_utf8(output.stdout).unwrap();
        words.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_configured_key_known_hosts_and_ssh_config_are_the_only_ones() {
        let access = Access::SshKey {
            key: "/etc/my keys/100%".into(),
            known_hosts: Some("/etc/known hosts".into()),
            ssh_config: Some("/etc/reconcile/ssh config".into()),
        };
        let words = words(&access, 120);
        let has = |expected: &[&str]| words.windows(expected.len()).any(|w| w == expected);
        assert!(has(&["-o", "IdentityFile=\"/etc/my keys/100%%\""]));
        assert!(has(&["-o", "IdentitiesOnly=yes"]));
        assert!(has(&["-o", "StrictHostKeyChecking=yes"]));
        assert!(has(&["-o", "UserKnownHostsFile=\"/etc/known hosts\""]));
        assert!(has(&["-o", "GlobalKnownHostsFile=/dev/null"]));
        assert!(has(&["-F", "/etc/reconcile/ssh config"]));
        let tail = ["git@gitea", "git-upload-pack '/infra/infra.git'"];
        assert!(words.ends_with(&tail.map(str::to_owned)));
    }

    #[test]
    fn what_is_not_configured_is_left_to_ssh_config() {
        let access = Access::SshKey {
            key: "/k".into(),
            known_hosts: None,
            ssh_config: None,
        };
        let words = words(&access, 120);
        assert!(
            !words
                .iter()
                .any(|a| a == "-F" || a.contains("KnownHostsFile"))
        );
    }

    #[test]
    fn the_wait_for_a_connection_is_never_longer_than_a_silence_may_be() {
        for (limit, expected) in [
            (3, "ConnectTimeout=3"),
            (120, "ConnectTimeout=15"),
            (0, "ConnectTimeout=1"),
        ] {
            assert!(words(&Access::None, limit).iter().any(|a| a == expected));
        }
    }
}
