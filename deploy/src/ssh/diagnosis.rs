//! Reads from `ssh`'s words why a login failed.

use std::time::Duration;

use super::login_fault::LoginFault;
use crate::printable::shown;

impl LoginFault {
    /// Reads what `ssh` wrote before it gave up. `timeout` is the time it had been given.
    ///
    /// The texts are OpenSSH's own (`sshconnect.c`, `sshconnect2.c`, `authfile.c`, `readconf.c`,
    /// `packet.c`), in English whatever the locale.
    pub(super) fn read(log: &str, timeout: Duration) -> Self {
        let lines: Vec<&str> = log
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let find = |needle: &str| lines.iter().find(|line| line.contains(needle)).copied();
        let last = lines.last().copied().unwrap_or("ssh said nothing");

        if find("REMOTE HOST IDENTIFICATION HAS CHANGED").is_some() {
            let offending = lines
                .iter()
                .find(|line| line.starts_with("Offending"))
                .and_then(|line| line.split_once(" key in "))
                .map(|(_, place)| shown(place));
            return LoginFault::HostKeyChanged(offending);
        }
        if find("Host key verification failed").is_some() || find("host key is known for").is_some()
        {
            return LoginFault::HostKeyUnknown;
        }
        if let Some(line) = find("Permission denied (") {
            return key_fault(&lines).unwrap_or_else(|| {
                LoginFault::PermissionDenied(shown(between(line, "Permission denied (", ")")))
            });
        }
        if let Some(line) = find("Too many authentication failures") {
            return LoginFault::PermissionDenied(format!(
                "{}; set IdentitiesOnly yes",
                shown(line)
            ));
        }
        if let Some(line) = find("Could not resolve hostname") {
            return LoginFault::NameUnknown(shown(line));
        }
        if find("UNKNOWN port 65535").is_some() || find("stdio forwarding failed").is_some() {
            return LoginFault::Proxy(shown(last));
        }
        if let Some(line) = find("Unable to negotiate with") {
            return LoginFault::NoCommonAlgorithm(shown(line));
        }
        if let Some(line) = find("Bad configuration option")
            .or_else(|| find("terminating, "))
            .or_else(|| find("Can't open user config file"))
            .or_else(|| find("Bad owner or permissions on"))
        {
            return LoginFault::Configuration(shown(line));
        }
        if let Some(line) =
            find("too long for Unix domain socket").or_else(|| find("ControlPath too long"))
        {
            return LoginFault::ControlPathTooLong(shown(line));
        }
        if find("Connection refused").is_some() {
            return LoginFault::Refused;
        }
        if let Some(line) = find("No route to host")
            .or_else(|| find("Network is unreachable"))
            .or_else(|| find("Host is down"))
        {
            return LoginFault::NoRoute(shown(line));
        }
        // "Connection timed out during banner exchange", "connect to host … Connection timed out".
        if find("timed out").is_some() {
            return LoginFault::TimedOut(timeout);
        }
        if let Some(line) = find("Connection closed by")
            .or_else(|| find("Connection reset by"))
            .or_else(|| find("Connection to "))
            .or_else(|| find("kex_exchange_identification"))
            .or_else(|| find("Not allowed at this time"))
            .or_else(|| find("Broken pipe"))
        {
            return LoginFault::Closed(shown(line));
        }
        LoginFault::Other(shown(last))
    }
}

/// What is wrong with our own key, if `ssh` said so on the way to being refused.
fn key_fault(lines: &[&str]) -> Option<LoginFault> {
    for line in lines {
        // no such identity: /path: No such file or directory
        if let Some(rest) = line.strip_prefix("no such identity: ") {
            let path = rest.split_once(": ").map_or(rest, |(path, _)| path);
            return Some(LoginFault::KeyMissing(shown(path)));
        }
        // Permissions 0644 for '/path' are too open.
        if line.starts_with("Permissions ") && line.contains("are too open") {
            return Some(LoginFault::KeyPermissions(shown(between(line, "'", "'"))));
        }
        // Load key "/path": error in libcrypto | Permission denied | bad permissions
        if let Some(rest) = line.strip_prefix("Load key \"") {
            let (path, why) = rest.split_once("\": ").unwrap_or((rest, ""));
            return Some(match why {
                "No such file or directory" => LoginFault::KeyMissing(shown(path)),
                "bad permissions" => LoginFault::KeyPermissions(shown(path)),
                why => LoginFault::KeyUnusable(shown(path), shown(why)),
            });
        }
    }
    None
}

/// The text between two marks, or the whole line.
fn between<'a>(line: &'a str, from: &str, to: &str) -> &'a str {
    line.split_once(from)
        .map(|(_, rest)| rest.split_once(to).map_or(rest, |(inner, _)| inner))
        .unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printable::MAX_SHOWN;

    const LIMIT: Duration = Duration::from_secs(10);

    /// What a name in the table stands for.
    fn kind(fault: &LoginFault) -> &'static str {
        match fault {
            LoginFault::Address(_) => "address",
            LoginFault::NameUnknown(_) => "name",
            LoginFault::Refused => "refused",
            LoginFault::NoRoute(_) => "route",
            LoginFault::TimedOut(_) => "timeout",
            LoginFault::Closed(_) => "closed",
            LoginFault::Proxy(_) => "proxy",
            LoginFault::HostKeyUnknown => "unknown key",
            LoginFault::HostKeyChanged(_) => "changed key",
            LoginFault::PermissionDenied(_) => "denied",
            LoginFault::KeyMissing(_) => "no key",
            LoginFault::KeyPermissions(_) => "open key",
            LoginFault::KeyUnusable(..) => "bad key",
            LoginFault::NoCommonAlgorithm(_) => "algorithm",
            LoginFault::Configuration(_) => "config",
            LoginFault::ControlPathTooLong(_) => "path",
            LoginFault::ClientMissing => "client",
            LoginFault::Local { .. } => "local",
            LoginFault::Other(_) => "other",
        }
    }

    #[test]
    fn what_ssh_says_is_told_apart() {
        for (log, expected) in [
            (
                "ssh: Could not resolve hostname x: Name or service not known",
                "name",
            ),
            (
                "ssh: connect to host 10.0.0.1 port 22: Connection refused",
                "refused",
            ),
            (
                "ssh: connect to host 10.0.0.1 port 22: No route to host",
                "route",
            ),
            (
                "ssh: connect to host 10.0.0.1 port 22: Network is unreachable",
                "route",
            ),
            (
                "ssh: connect to host 10.0.0.1 port 22: Connection timed out",
                "timeout",
            ),
            (
                "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out",
                "timeout",
            ),
            (
                "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.1 port 22",
                "closed",
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.0.0.1 port 22",
                "closed",
            ),
            (
                "kex_exchange_identification: banner line contains invalid characters",
                "closed",
            ),
            ("Not allowed at this time", "closed"),
            (
                "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\nConnection closed by UNKNOWN port 65535",
                "proxy",
            ),
            (
                "No ED25519 host key is known for x and you have requested strict checking.\nHost key verification failed.",
                "unknown key",
            ),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nOffending ED25519 key in /k:3\nHost key verification failed.",
                "changed key",
            ),
            ("user@x: Permission denied (publickey).", "denied"),
            (
                "no such identity: /k: No such file or directory\nuser@x: Permission denied (publickey).",
                "no key",
            ),
            (
                "Load key \"/k\": bad permissions\nuser@x: Permission denied (publickey).",
                "open key",
            ),
            (
                "Load key \"/k\": error in libcrypto\nuser@x: Permission denied (publickey).",
                "bad key",
            ),
            (
                "Received disconnect from x port 22:2: Too many authentication failures",
                "denied",
            ),
            (
                "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa",
                "algorithm",
            ),
            (
                "/c: line 3: Bad configuration option: nosuch\n/c: terminating, 1 bad configuration options",
                "config",
            ),
            ("Bad owner or permissions on /c", "config"),
            (
                "Can't open user config file /c: No such file or directory",
                "config",
            ),
            ("ControlPath too long ('/x' >= 108 bytes)", "path"),
            ("something new", "other"),
            ("", "other"),
        ] {
            assert_eq!(kind(&LoginFault::read(log, LIMIT)), expected, "{log}");
        }
    }

    #[test]
    fn the_line_of_a_changed_key_is_kept_for_the_mend() {
        let log = "@@@\nOffending ED25519 key in /etc/known_hosts:3\nREMOTE HOST IDENTIFICATION HAS CHANGED";
        let text = LoginFault::read(log, LIMIT).to_string();
        assert!(text.ends_with("(/etc/known_hosts:3)"), "{text}");
    }

    #[test]
    fn what_a_server_says_cannot_steer_a_terminal_nor_fill_the_log() {
        let log = format!("\u{1b}[2J\u{7}{}", "x".repeat(10_000));
        let text = LoginFault::read(&log, LIMIT).to_string();
        assert!(!text.contains(char::is_control));
        assert!(text.len() <= MAX_SHOWN);
    }
}
