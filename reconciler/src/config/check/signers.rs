//! Files of who may sign commits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::reader::{Problem, quoted};

/// Whether a file begins as a keyring that gpgv reads.
pub(super) fn is_keyring(contents: &[u8]) -> bool {
    let is_packet = contents.first().is_some_and(|first| first & 0x80 != 0);
    is_packet || contents.get(8..12) == Some(b"KBXf")
}

/// What is wrong with lines of ssh-keygen(1), ALLOWED SIGNERS: principals, maybe options, the kind of key and
/// the key.
pub(super) fn fault(text: &str) -> Option<Problem> {
    const HELP: &str = "write it as in `ada@example.org ssh-ed25519 AAAA…`";
    let is_said = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| is_said(line))
        .peekable();
    if lines.peek().is_none() {
        return Some(Problem::new(
            "names nobody",
            "no commit could ever be deployed",
            HELP,
        ));
    }
    lines.find_map(|(number, line)| {
        let what = fault_of_line(line)?;
        Some(Problem::new(
            format!("{what} in line {}", number + 1),
            "each line has principals, maybe options, and a public key, as ssh-keygen(1) says under ALLOWED SIGNERS",
            HELP,
        ))
    })
}

fn fault_of_line(line: &str) -> Option<String> {
    let words = words(line);
    let is_kind = |word: &String| {
        ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .any(|kind| word.starts_with(kind))
    };
    let place = words
        .iter()
        .skip(1)
        .position(is_kind)
        .map(|place| place + 1);
    let Some((place, blob)) = place.and_then(|place| Some((place, words.get(place + 1)?))) else {
        return Some("has no key".to_owned());
    };
    if !is_key(&words[place], blob) {
        return Some("has a damaged key".to_owned());
    }
    let options = words[1..place].join(" ");
    let mut options = outside_quotes(&options, ',')
        .into_iter()
        .filter(|option| !option.is_empty());
    options.find_map(|option| fault_of_option(&option))
}

fn fault_of_option(option: &str) -> Option<String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let value = value.trim_matches('"');
    match name.to_ascii_lowercase().as_str() {
        "cert-authority" | "namespaces" => None,
        "valid-after" | "valid-before" => (!is_time(value)).then(|| {
            format!(
                "has {name} as {}, which is no time such as 20261231 or 20261231235959Z,",
                quoted(value)
            )
        }),
        _ => Some(format!(
            "has the option {}, which ssh-keygen does not know,",
            quoted(name)
        )),
    }
}

/// `YYYYMMDD[Z]` or `YYYYMMDDHHMM[SS][Z]`.
fn is_time(value: &str) -> bool {
    let digits = value.strip_suffix('Z').unwrap_or(value);
    matches!(digits.len(), 8 | 12 | 14) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `blob` is a whole public key of that kind: strings with their lengths before them, the first of which is
/// the kind (RFC 4253, 6.6).
fn is_key(kind: &str, blob: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(blob) else {
        return false;
    };
    let mut rest = bytes.as_slice();
    let mut strings = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((string, after)) = after.split_at_checked(length) else {
            return false;
        };
        strings.push(string);
        rest = after;
    }
    rest.is_empty() && strings.len() > 1 && strings[0] == kind.as_bytes()
}

/// The words of a line; what is in quotes is in one word.
fn words(line: &str) -> Vec<String> {
    let spaced: String = line
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    let words = outside_quotes(&spaced, ' ');
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// Parts a text at a separator that is not in quotes.
fn outside_quotes(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars() {
        is_quoted ^= c == '"';
        match parts.last_mut() {
            Some(part) if c != separator || is_quoted => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPv9OixaytgvfafGLahBwToDW+SCZZFP1fLqVa1F83NQ";

    #[test]
    fn a_line_that_allows_nobody_to_sign_a_commit_is_told_with_its_fault() {
        for good in [
            format!("a@b {KEY} comment"),
            format!("a@b,c@d namespaces=\"file,git\",valid-before=\"20300101Z\" {KEY}"),
            format!("\"a b\" cert-authority {KEY}"),
            format!("*@b valid-after=202601011200 {KEY}"),
        ] {
            assert_eq!(fault_of_line(&good), None, "{good}");
        }
        let cut = &KEY[..KEY.len() - 4];
        for (bad, what) in [
            (
                "ada@example.org ssh-ed25519 AAAA…".to_owned(),
                "damaged key",
            ),
            (format!("a@b {cut}"), "damaged key"),
            (
                format!("a@b {}", KEY.replace("ed25519 ", "rsa ")),
                "damaged key",
            ),
            (KEY.to_owned(), "no key"),
            (format!("a@b bogus {KEY}"), "`bogus`"),
            (format!("a@b valid-before=\"soon\" {KEY}"), "`soon`"),
        ] {
            let fault = fault_of_line(&bad).unwrap_or_default();
            assert!(fault.contains(what), "{bad}: {fault}");
        }
    }
}
