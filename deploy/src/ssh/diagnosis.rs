//! Reads from `ssh`'s words why a login failed.

use std::time::Duration;

use super::login_fault::LoginFault;
use crate::printable::{MAX_SHOWN, shown};

impl LoginFault {
    /// Reads what `ssh` wrote before it gave up. `timeout` is the time it had been given.
    ///
    /// The texts are OpenSSH's own (`sshconnect.c`, `sshconnect2.c`, `authfile.c`, `readconf.c`,
    /// `packet.c`), in English whatever the locale.
    pub(super) fn read(log: &str, timeout: Duration) -> Self {
        let log = Log::of(log);
        host_key_fault(&log)
            .or_else(|| permission_fault(&log))
            .or_else(|| way_fault(&log))
            .or_else(|| configuration_fault(&log))
            .or_else(|| network_fault(&log, timeout))
            .unwrap_or_else(|| LoginFault::Other(shown(log.last())))
    }

    /// Reads what `ssh` wrote until its time was over: what the server said before the login
    /// (RFC 4252, section 5.4) is left where `ssh` itself has said nothing of the way there.
    pub(super) fn read_unfinished(log: &str, timeout: Duration) -> Self {
        let log = Log::of(log);
        let is_ours = |line: &&str| {
            ["ssh: ", "kex_exchange", "Warning: ", "debug", "Connection "]
                .iter()
                .any(|start| line.starts_with(start))
        };
        let banner: Vec<&str> = log.0.into_iter().filter(|line| !is_ours(line)).collect();
        if banner.is_empty() {
            return LoginFault::TimedOut(timeout);
        }
        LoginFault::NotLetIn {
            after: timeout,
            said: end_of(&banner),
        }
    }
}

/// As many of the last lines as are shown of foreign text.
fn end_of(lines: &[&str]) -> String {
    let mut length = 0;
    let kept = lines.iter().rev().take_while(|line| {
        length += line.chars().count() + 1;
        length <= MAX_SHOWN
    });
    let from = lines.len() - kept.count().max(1);
    shown(&lines[from..].join(" "))
}

/// The lines that `ssh` wrote.
struct Log<'a>(Vec<&'a str>);

impl<'a> Log<'a> {
    fn of(text: &'a str) -> Self {
        let lines = text.lines().map(str::trim);
        // OpenSSH 10.1 prints three such lines for each server whose key exchange is not post-quantum.
        let is_said = |line: &&str| !line.is_empty() && !line.starts_with("** ");
        Self(lines.filter(is_said).collect())
    }

    /// The first line that has the first of these words that is there at all.
    fn find(&self, words: &[&str]) -> Option<&'a str> {
        words
            .iter()
            .find_map(|word| self.0.iter().find(|line| line.contains(word)))
            .copied()
    }

    fn says(&self, words: &[&str]) -> bool {
        self.find(words).is_some()
    }

    fn last(&self) -> &'a str {
        self.0.last().copied().unwrap_or("ssh said nothing")
    }
}

fn host_key_fault(log: &Log<'_>) -> Option<LoginFault> {
    if log.says(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
        let offending = log
            .0
            .iter()
            .find(|line| line.starts_with("Offending"))
            .and_then(|line| line.split_once(" key in "))
            .map(|(_, place)| shown(place));
        return Some(LoginFault::HostKeyChanged(offending));
    }
    log.says(&["Host key verification failed", "host key is known for"])
        .then_some(LoginFault::HostKeyUnknown)
}

fn permission_fault(log: &Log<'_>) -> Option<LoginFault> {
    if let Some(line) = log.find(&["Permission denied ("]) {
        return Some(key_fault(log).unwrap_or_else(|| {
            LoginFault::PermissionDenied(shown(between(line, "Permission denied (", ")")))
        }));
    }
    let line = log.find(&["Too many authentication failures"])?;
    Some(LoginFault::PermissionDenied(format!(
        "{}; set IdentitiesOnly yes",
        shown(line)
    )))
}

/// What is wrong with our own key, if `ssh` said so on the way to being refused.
fn key_fault(log: &Log<'_>) -> Option<LoginFault> {
    for line in &log.0 {
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

/// What the way to the server lacks: a name, a jump host, an algorithm that both sides know.
fn way_fault(log: &Log<'_>) -> Option<LoginFault> {
    if let Some(line) = log.find(&["Could not resolve hostname"]) {
        return Some(LoginFault::NameUnknown(shown(line)));
    }
    if log.says(&["UNKNOWN port 65535", "stdio forwarding failed"]) {
        return Some(LoginFault::Proxy(shown(log.last())));
    }
    let line = log.find(&["Unable to negotiate with"])?;
    Some(LoginFault::NoCommonAlgorithm(shown(line)))
}

fn configuration_fault(log: &Log<'_>) -> Option<LoginFault> {
    if let Some(line) = log.find(&[
        "Bad configuration option",
        "terminating, ",
        "Can't open user config file",
        "Bad owner or permissions on",
    ]) {
        return Some(LoginFault::Configuration(shown(line)));
    }
    let line = log.find(&["too long for Unix domain socket", "ControlPath too long"])?;
    Some(LoginFault::ControlPathTooLong(shown(line)))
}

fn network_fault(log: &Log<'_>, timeout: Duration) -> Option<LoginFault> {
    if log.says(&["Connection refused"]) {
        return Some(LoginFault::Refused);
    }
    if let Some(line) = log.find(&["No route to host", "Network is unreachable", "Host is down"]) {
        return Some(LoginFault::NoRoute(shown(line)));
    }
    // "Connection timed out during banner exchange", "connect to host … Connection timed out".
    if log.says(&["timed out"]) {
        return Some(LoginFault::TimedOut(timeout));
    }
    let line = log.find(&[
        "Connection closed by",
        "Connection reset by",
        "Connection to ",
        "kex_exchange_identification",
        "Not allowed at this time",
        "Broken pipe",
    ])?;
    Some(LoginFault::Closed(shown(line)))
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

    const LIMIT: Duration = Duration::from_secs(10);

    /// What a name in the table stands for.
    fn kind(fault: &LoginFault) -> &'static str {
        match fault {
            LoginFault::Address(_) => "address",
            LoginFault::NameUnknown(_) => "name",
            LoginFault::Refused => "refused",
            LoginFault::NoRoute(_) => "route",
            LoginFault::TimedOut(_) => "timeout",
            LoginFault::NotLetIn { .. } => "not let in",
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

    /// What `ssh` says, and the fault that it is.
    const SAID: [(&str, &str); 25] = [
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
    ];

    #[test]
    fn what_ssh_says_is_told_apart() {
        for (log, expected) in SAID {
            let fault = LoginFault::read(log, LIMIT);
            assert_eq!(kind(&fault), expected, "{log}");
            let is_refused = [
                "unknown key",
                "changed key",
                "denied",
                "no key",
                "open key",
                "bad key",
                "algorithm",
            ]
            .contains(&expected);
            assert_eq!(fault.is_access_refused(), is_refused, "{log}");
            assert!(!is_refused || !fault.is_unreachable(), "{log}");
        }
    }

    #[test]
    fn the_line_of_a_changed_key_is_kept_for_the_mend() {
        let log = "@@@\nOffending ED25519 key in /etc/known_hosts:3\nREMOTE HOST IDENTIFICATION HAS CHANGED";
        let text = LoginFault::read(log, LIMIT).to_string();
        assert!(text.ends_with("(/etc/known_hosts:3)"), "{text}");
    }

    /// As OpenSSH 10.1 prints it (openssh.com/pq.html; ssh_config(5), `WarnWeakCrypto`).
    const NOT_POST_QUANTUM: &str = "** WARNING: connection is not using a post-quantum key exchange algorithm.\n\
         ** This session may be vulnerable to \"store now, decrypt later\" attacks.\n\
         ** The server may need to be upgraded. See https://openssh.com/pq.html\n";

    #[test]
    fn a_warning_of_ssh_never_stands_for_the_cause() {
        for log in [
            format!("{NOT_POST_QUANTUM}something new"),
            format!("something new\n{NOT_POST_QUANTUM}"),
        ] {
            assert_eq!(LoginFault::read(&log, LIMIT).to_string(), "something new");
        }
        let refused = format!("{NOT_POST_QUANTUM}user@x: Permission denied (publickey).");
        assert_eq!(kind(&LoginFault::read(&refused, LIMIT)), "denied");
        assert_eq!(
            kind(&LoginFault::read_unfinished(NOT_POST_QUANTUM, LIMIT)),
            "timeout"
        );
    }

    #[test]
    fn the_end_of_a_long_banner_is_shown() {
        let log = format!(
            "{}\nsign in at https://login.example/a/1234",
            "by law, ".repeat(100)
        );
        let fault = LoginFault::read_unfinished(&log, LIMIT);
        assert!(fault.is_worth_retrying() && fault.is_unreachable());
        assert!(
            fault
                .to_string()
                .ends_with("it says: sign in at https://login.example/a/1234"),
            "{fault}"
        );
        let one_line = LoginFault::read_unfinished(&"x".repeat(1_000), LIMIT);
        assert!(one_line.to_string().contains("xxx"));
    }

    #[test]
    fn what_a_server_says_cannot_steer_a_terminal_nor_fill_the_log() {
        let log = format!("\u{1b}[2J\u{7}{}", "x".repeat(10_000));
        let text = LoginFault::read(&log, LIMIT).to_string();
        assert!(!text.contains(char::is_control));
        assert!(text.len() <= MAX_SHOWN);
    }
}
