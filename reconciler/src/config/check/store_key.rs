//! A secret key that signs store paths: `NAME:` and, in base 64, the 64 bytes of an Ed25519 key (Nix's `crypto.cc`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::reader::Problem;

/// The secret half and the public one (libsodium, `crypto_sign_SECRETKEYBYTES`).
const SECRET_BYTES: usize = 64;
/// The public half alone.
const PUBLIC_BYTES: usize = 32;

/// What is wrong with the text of a key; the key is never repeated.
pub(super) fn fault(text: &str) -> Option<Problem> {
    const HELP: &str =
        "make one with `nix-store --generate-binary-cache-key NAME SECRET-FILE PUBLIC-FILE`";
    let problem = |what: &str, why: &str| Some(Problem::new(what, why, HELP));
    let Some((name, key)) = text.trim().split_once(':') else {
        return problem(
            "is not a key of Nix",
            "a key is a name, a colon and a text in base 64",
        );
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return problem(
            "has a key without a name",
            "hosts find the key by the name before the colon",
        );
    }
    match STANDARD.decode(key).map(|key| key.len()) {
        Ok(SECRET_BYTES) => None,
        Ok(PUBLIC_BYTES) => Some(Problem::new(
            "is a public key",
            "only the secret one signs; the public one belongs into trusted-public-keys of the hosts",
            "name the file with the secret one",
        )),
        _ => problem("has a damaged key", "it is not 64 bytes in base 64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_nix_has_made_is_right_and_any_other_is_told_why() {
        let secret = format!("cache.example-1:{}", STANDARD.encode([7; 64]));
        let public = format!("cache.example-1:{}", STANDARD.encode([7; 32]));
        assert!(fault(&secret).is_none() && fault(&format!("{secret}\n")).is_none());
        for (text, part) in [
            (public.as_str(), "is a public key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "not a key of Nix"),
            (":AAAA", "without a name"),
            ("a b:AAAA", "without a name"),
            ("cache-1:AAAA", "damaged"),
            ("cache-1:not base 64", "damaged"),
        ] {
            let problem = fault(text).unwrap_or_else(|| panic!("{text}"));
            let origin = crate::config::Origin::Variable("V".to_owned());
            let message = problem.at(origin).to_string();
            assert!(message.contains(part), "expected {part:?} in:\n{message}");
            assert!(!message.contains("AAAA"), "{message}");
        }
    }
}
