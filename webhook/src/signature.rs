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
