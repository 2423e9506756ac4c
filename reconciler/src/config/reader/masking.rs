//! What no message repeats: it may be a secret.

/// Whether a line of the file must not be repeated: it may hold a password within a URL, or a secret that was
/// written in place of the name of its file.
pub fn may_hold_a_secret(line: &str) -> bool {
    let in_url = line.split("://").skip(1).any(|rest| {
        // A password may hold any character, so everything up to the last `@` of the line counts.
        rest.rsplit_once('@')
            .is_some_and(|(user, _)| user.contains(':') || !line.contains("ssh://"))
    });
    // The form of scp, `user@host:path`, has no place for a password; a person may try all the same.
    let in_scp = line.split(['"', '\'', ' ']).any(|word| {
        word.rsplit_once('@')
            .is_some_and(|(user, _)| user.contains(':') && !user.contains('/'))
    });
    let keys = line
        .split('=')
        .filter_map(|part| part.split(['{', ',', '.']).next_back());
    in_url
        || in_scp
        || keys
            .into_iter()
            .any(|key| names_a_secret(key.trim().trim_matches(['"', '\''])))
}

/// Whether a key's name says that its value is a secret, rather than the name of a file or of a user.
pub fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let secret = ["secret", "token", "password", "passphrase", "private_key"]
        .iter()
        .any(|word| key.contains(word));
    secret
        && !["_file", "_files", "_user"]
            .iter()
            .any(|ending| key.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_a_secret_are_known() {
        for line in [
            "url = \"https://me:hunter2@git.example/a/b\"",
            "url = \"https://hunter2@git.example/a/b\"",
            "url = \"ssh://me:hun/ter@2@git.example/a/b\"",
            "url = \"me:hunter2@git.example:a/b\"",
            "url = \"https://git.example/a/b?access_token=hunter2\"",
            "secret = \"hunter2\"",
            "webhook = { secret = \"hunter2\" }",
            "webhook.\"secret\" = \"hunter2\"",
            "API_TOKEN=\"hunter2\"",
        ] {
            assert!(may_hold_a_secret(line), "{line}");
        }
        for line in [
            "url = \"ssh://git@gitea.example:2222/a/b.git\"",
            "url = \"git@gitea.example:a/b.git\"",
            "url = \"https://git.example/a/b\"",
            "secret_files = [\"a\"]",
            "token_file = \"a\"",
            "token_user = \"a\"",
            "interval = \"5\"",
        ] {
            assert!(!may_hold_a_secret(line), "{line}");
        }
    }
}
