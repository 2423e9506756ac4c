//! Is this JSON signed by one of our secrets?
//!
//! Gitea computes an HMAC-SHA256 over the JSON text with the secret's raw bytes as key
//! (`services/webhook/deliver.go`) and sends it as 64 hexadecimal digits, in several headers.
//! A hook without a secret sends the same headers with hollow values, so what counts is an
//! exact value, never a header's presence. The SHA-1 header is never looked at.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use thiserror::Error;

/// The bytes of an HMAC-SHA256.
pub const SIGNATURE_BYTES: usize = 32;

/// The headers that carry a signature, and what stands before the digits, in order of priority.
/// The first one that is there is judged, and no other: falling through to the next would
/// let whoever can add a header choose which one counts.
const SIGNATURE_HEADERS: [(&str, &str); 3] = [
    ("x-gitea-signature", ""),
    ("x-forgejo-signature", ""),
    ("x-hub-signature-256", "sha256="),
];

/// One shared secret, kept as a keyed HMAC. `Debug` hides it.
pub struct Secret(Hmac<Sha256>);

/// A list of secrets of which any one may sign: two while a secret is being replaced, for Gitea
/// cannot change the secret of a hook over its API and a new hook overlaps with the old one.
pub struct Secrets(Vec<Secret>);

/// Why a secret cannot be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Anybody can sign with an empty secret; Gitea sends hollow signatures for it.
    #[error("the webhook secret is empty: put the hook's secret into its file")]
    Empty,
    /// No secret at all, so that no delivery could ever be accepted.
    #[error("no webhook secret is configured: name at least one secret file")]
    None,
    /// HMAC takes keys of every length, so this does not happen.
    #[error("the webhook secret cannot be used as an HMAC key")]
    Key(#[source] hmac::digest::InvalidLength),
}

impl SecretError {
    /// A secret becomes usable only when a person changes its file.
    pub fn is_worth_retrying(&self) -> bool {
        false
    }
}

impl Secret {
    /// A secret from its raw bytes. Fails when there are none.
    pub fn new(bytes: &[u8]) -> Result<Secret, SecretError> {
        if bytes.is_empty() {
            return Err(SecretError::Empty);
        }
        Hmac::new_from_slice(bytes)
            .map(Secret)
            .map_err(SecretError::Key)
    }

    /// A secret from a file's contents: one line break at the end, which editors add, is not
    /// part of it; everything else is.
    pub fn from_file_contents(contents: &[u8]) -> Result<Secret, SecretError> {
        let bytes = contents.strip_suffix(b"\n").unwrap_or(contents);
        Secret::new(bytes.strip_suffix(b"\r").unwrap_or(bytes))
    }

    fn has_signed(&self, json: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        // `verify_slice` compares in constant time.
        let mac = self.0.clone().chain_update(json);
        mac.verify_slice(signature).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Secrets {
    /// The secrets in force. Fails when there are none.
    pub fn new(secrets: Vec<Secret>) -> Result<Secrets, SecretError> {
        if secrets.is_empty() {
            return Err(SecretError::None);
        }
        Ok(Secrets(secrets))
    }

    /// Which secret, counted from 0, signed this JSON text, if any did. All are tried whatever
    /// the first ones say, so that the time tells nothing about which one matched.
    pub fn verify(&self, json: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Option<usize> {
        let mut matched = None;
        for (number, secret) in self.0.iter().enumerate() {
            let signed = secret.has_signed(json, signature);
            matched = matched.or(signed.then_some(number));
        }
        matched
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} hidden)", self.0.len())
    }
}

/// Why a request carries no signature that could be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// No signature header: a Gitea older than 1.9, or not Gitea.
    #[error("there is no signature header")]
    Missing,
    /// A signature header came twice, and which one counts would be a guess.
    #[error("the header {0} came more than once")]
    Repeated(&'static str),
    /// Not exactly 64 hexadecimal digits behind the header's prefix. Hollow when the hook has
    /// no secret.
    #[error(
        "the header {0} does not hold 64 hexadecimal digits: has the hook a secret in Gitea's settings?"
    )]
    Malformed(&'static str),
}

/// The one signature by which a request is judged.
pub fn signature(headers: &HeaderMap) -> Result<[u8; SIGNATURE_BYTES], SignatureError> {
    for (name, _) in SIGNATURE_HEADERS {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(SignatureError::Repeated(name));
        }
    }
    let (name, prefix, value) = SIGNATURE_HEADERS
        .iter()
        .find_map(|(name, prefix)| Some((*name, *prefix, headers.get(*name)?)))
        .ok_or(SignatureError::Missing)?;
    decode(prefix, value.as_bytes()).ok_or(SignatureError::Malformed(name))
}

fn decode(prefix: &str, value: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
    let digits = value.strip_prefix(prefix.as_bytes())?;
    let mut bytes = [0; SIGNATURE_BYTES];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn secrets(keys: &[&str]) -> Secrets {
        let keys = keys.iter().map(|key| Secret::new(key.as_bytes()).unwrap());
        Secrets::new(keys.collect()).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_vector_that_github_publishes_verifies() {
        let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let prefixed = format!("sha256={digits}");
        let signed = signature(&headers(&[("x-hub-signature-256", &prefixed)])).unwrap();
        let secrets = secrets(&["It's a Secret to Everybody"]);
        assert_eq!(secrets.verify(b"Hello, World!", &signed), Some(0));
        assert_eq!(secrets.verify(b"Hello, World.", &signed), None);
    }

    #[test]
    fn any_of_several_secrets_may_sign_and_which_one_is_told() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"new").unwrap();
        mac.update(b"{}");
        let signed: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(secrets(&["old", "new"]).verify(b"{}", &signed), Some(1));
        assert_eq!(secrets(&["new", "new"]).verify(b"{}", &signed), Some(0));
        assert_eq!(secrets(&["old"]).verify(b"{}", &signed), None);
    }

    #[test]
    fn one_line_break_at_the_end_of_a_secret_file_is_no_part_of_the_secret() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b" se\ncret ").unwrap();
        mac.update(b"{}");
        let signed: [u8; 32] = mac.finalize().into_bytes().into();
        for (contents, matches) in [
            (&b" se\ncret "[..], true),
            (b" se\ncret \n", true),
            (b" se\ncret \r\n", true),
            (b" se\ncret \n\n", false),
            (b"se\ncret", false),
        ] {
            let secret = Secret::from_file_contents(contents).unwrap();
            assert_eq!(secret.has_signed(b"{}", &signed), matches, "{contents:?}");
        }
    }

    #[test]
    fn an_empty_secret_and_an_empty_list_are_refused() {
        for contents in [&b""[..], b"\n", b"\r\n"] {
            let refused = Secret::from_file_contents(contents).unwrap_err();
            assert!(matches!(refused, SecretError::Empty), "{contents:?}");
        }
        assert!(matches!(Secrets::new(Vec::new()), Err(SecretError::None)));
    }

    #[test]
    fn debug_output_hides_secrets() {
        let secrets = secrets(&["hunter2", "hunter3"]);
        assert_eq!(format!("{secrets:?}"), "Secrets(2 hidden)");
        assert_eq!(format!("{:?}", secrets.0[0]), "Secret(hidden)");
    }

    #[test]
    fn the_header_of_highest_priority_is_judged_alone() {
        let [a, b, c] = ["aa", "bb", "cc"].map(|pair| pair.repeat(32));
        let hub = format!("sha256={c}");
        let all = [
            ("x-hub-signature-256", hub.as_str()),
            ("x-forgejo-signature", &b),
            ("x-gitea-signature", &a),
        ];
        assert_eq!(signature(&headers(&all)), Ok([0xaa; 32]));
        assert_eq!(signature(&headers(&all[..2])), Ok([0xbb; 32]));
        assert_eq!(signature(&headers(&all[..1])), Ok([0xcc; 32]));
        let hollow = [("x-gitea-signature", ""), all[0], all[1]];
        assert_eq!(
            signature(&headers(&hollow)),
            Err(SignatureError::Malformed("x-gitea-signature"))
        );
    }

    #[test]
    fn a_signature_header_that_came_twice_is_refused_whichever_it_is() {
        let digits = "ab".repeat(32);
        for name in ["x-gitea-signature", "x-forgejo-signature"] {
            let twice = [
                ("x-gitea-signature", digits.as_str()),
                (name, &digits),
                (name, &digits),
            ];
            assert_eq!(
                signature(&headers(&twice)),
                Err(SignatureError::Repeated(name))
            );
        }
    }

    #[test]
    fn sha1_is_never_a_signature() {
        let sha1 = headers(&[(
            "x-hub-signature",
            "sha1=b8069d49572f5757bc0ae891974701c1b1502aa7",
        )]);
        assert_eq!(signature(&sha1), Err(SignatureError::Missing));
    }

    proptest! {
        #[test]
        fn what_hex_writes_is_read_back(bytes in any::<[u8; 32]>()) {
            let digits = hex::encode(bytes);
            prop_assert_eq!(decode("", digits.as_bytes()), Some(bytes));
            prop_assert_eq!(decode("", digits.to_uppercase().as_bytes()), Some(bytes));
            let prefixed = format!("sha256={digits}");
            prop_assert_eq!(decode("sha256=", prefixed.as_bytes()), Some(bytes));
            prop_assert_eq!(decode("", prefixed.as_bytes()), None);
            prop_assert_eq!(decode("sha256=", digits.as_bytes()), None);
        }

        #[test]
        fn only_exactly_64_digits_are_read(value in prop_oneof![
            "[0-9a-fA-F]{0,130}",
            "[0-9a-f]{63}[^0-9a-fA-F]",
            "[ \t]?[0-9a-f]{64}[ \t]?",
            "sha256=[0-9a-f]{0,70}",
            ".*",
        ]) {
            let is_64_digits = value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
            prop_assert_eq!(decode("", value.as_bytes()).is_some(), is_64_digits);
        }

        #[test]
        fn no_bytes_make_a_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode("sha256=", &value);
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.insert("x-gitea-signature", value);
                let _ = signature(&headers);
            }
        }

        #[test]
        fn another_text_or_another_signature_never_verifies(
            text in proptest::collection::vec(any::<u8>(), 1..300),
            byte in any::<proptest::sample::Index>(),
            bit in 0..8u32,
        ) {
            let secrets = secrets(&["one", "two"]);
            let mut mac = Hmac::<Sha256>::new_from_slice(b"two").unwrap();
            mac.update(&text);
            let signed: [u8; 32] = mac.finalize().into_bytes().into();
            prop_assert_eq!(secrets.verify(&text, &signed), Some(1));
            let mut flipped = text.clone();
            flipped[byte.index(text.len())] ^= 1 << bit;
            prop_assert_eq!(secrets.verify(&flipped, &signed), None);
            let mut flipped = signed;
            flipped[byte.index(32)] ^= 1 << bit;
            prop_assert_eq!(secrets.verify(&text, &flipped), None);
        }
    }
}
