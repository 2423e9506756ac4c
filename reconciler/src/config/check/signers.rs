//! Files of who may sign commits.

use super::super::complaint::Complaint;

/// Whether a file begins as a keyring that gpgv reads.
pub(super) fn is_keyring(contents: &[u8]) -> bool {
    let is_packet = contents.first().is_some_and(|first| first & 0x80 != 0);
    is_packet || contents.get(8..12) == Some(b"KBXf")
}

/// What is wrong with lines of ssh-keygen(1), ALLOWED SIGNERS: principals, maybe options, the kind of key and
/// the key.
pub(super) fn fault(text: &str) -> Option<Complaint> {
    const MEND: &str = "write it as in `ada@example.org ssh-ed25519 AAAA…`";
    let is_said = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| is_said(line))
        .peekable();
    if lines.peek().is_none() {
        return Some(Complaint::new(
            "names nobody",
            "no commit could ever be deployed",
            MEND,
        ));
    }
    let (number, _) = lines.find(|(_, line)| !has_key(line))?;
    Some(Complaint::new(
        format!("has no key in line {}", number + 1),
        "each line has principals, maybe options, and a public key",
        MEND,
    ))
}

/// Whether a line has a public key after its first word; options may have spaces in quotes.
fn has_key(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    words.windows(2).any(|pair| {
        let is_kind = ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .any(|kind| pair[0].starts_with(kind));
        is_kind && pair[1].starts_with("AAAA")
    })
}
