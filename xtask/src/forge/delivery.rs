//! Sending a delivery as Gitea's `services/webhook/deliver.go` does, and remembering what became of it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;

use super::hook::{ContentType, Delivering, Event, Hook, Settings};
use crate::http::{Address, request};

/// `[webhook] DELIVER_TIMEOUT`: connecting, sending and reading the answer together.
const DELIVER_TIMEOUT: Duration = Duration::from_secs(5);

/// A line of a repository's delivery log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// `X-Gitea-Delivery`.
    pub uuid: String,
    /// Which hook, counted from 0.
    pub hook: usize,
    /// What it tells.
    pub event: Event,
    /// The headers as sent, in order.
    pub headers: Vec<(String, String)>,
    /// The body as sent.
    pub body: String,
    /// The JSON, whatever the body's form.
    pub json: String,
    /// The status that the receiver answered, `None` without an answer.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// How long it took.
    pub milliseconds: u128,
}

impl Delivery {
    /// What Gitea shows in green: any 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// Sends JSON to one hook, or loses it where the settings say so; either way it is in the log afterwards.
pub(super) fn deliver(
    bare: &Path,
    settings: &Settings,
    number: usize,
    event: Event,
    json: &str,
) -> Result<Delivery> {
    let hook = settings
        .hooks
        .get(number)
        .ok_or_else(|| anyhow!("no hook {number}"))?;
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid")?
        .trim()
        .to_owned();
    let address = Address::parse(&hook.url)?;
    let body = match hook.content_type {
        ContentType::Json => json.to_owned(),
        ContentType::Form => format!("payload={}", query_escape(json)),
    };
    let headers = headers(hook, &address, &uuid, event, json, body.len())?;
    let start = Instant::now();
    let answer = match settings.delivering {
        Delivering::Sent => request("POST", &address, &headers, body.as_bytes(), DELIVER_TIMEOUT),
        Delivering::Lost => Err(anyhow!("lost on purpose")),
    };
    let delivery = Delivery {
        uuid,
        hook: number,
        event,
        headers,
        body,
        json: json.to_owned(),
        status: answer.as_ref().ok().map(|answer| answer.status),
        error: answer.err().map(|error| format!("{error:#}")),
        milliseconds: start.elapsed().as_millis(),
    };
    let mut log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(bare.join("testbed-deliveries"))?;
    log.write_all(format!("{}\n", serde_json::to_string(&delivery)?).as_bytes())?;
    Ok(delivery)
}

/// The log, oldest first.
pub(super) fn log(bare: &Path) -> Result<Vec<Delivery>> {
    let text = fs::read_to_string(bare.join("testbed-deliveries")).unwrap_or_default();
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

/// Gitea's headers in the order in which Go writes them: three of the client's own, then by name, then the encoding.
fn headers(
    hook: &Hook,
    address: &Address,
    uuid: &str,
    event: Event,
    json: &str,
    length: usize,
) -> Result<Vec<(String, String)>> {
    let (sha256, sha1) = signatures(&hook.secret, json)?;
    let mut headers = vec![
        ("Host", address.authority.clone()),
        ("User-Agent", "Go-http-client/1.1".to_owned()),
        ("Content-Length", length.to_string()),
    ];
    if let Some(value) = &hook.authorization {
        headers.push(("Authorization", value.clone()));
    }
    headers.push(("Content-Type", hook.content_type.name().to_owned()));
    let event = event.name().to_owned();
    let (uuid, target) = (uuid.to_owned(), "repository".to_owned());
    headers.extend([
        ("X-GitHub-Delivery", uuid.clone()),
        ("X-GitHub-Event", event.clone()),
        ("X-GitHub-Event-Type", event.clone()),
        ("X-GitHub-Hook-Installation-Target-Type", target.clone()),
        ("X-Gitea-Delivery", uuid.clone()),
        ("X-Gitea-Event", event.clone()),
        ("X-Gitea-Event-Type", event.clone()),
        ("X-Gitea-Hook-Installation-Target-Type", target),
        ("X-Gitea-Signature", sha256.clone()),
        ("X-Gogs-Delivery", uuid),
        ("X-Gogs-Event", event.clone()),
        ("X-Gogs-Event-Type", event),
        ("X-Gogs-Signature", sha256.clone()),
        ("X-Hub-Signature", format!("sha1={sha1}")),
        ("X-Hub-Signature-256", format!("sha256={sha256}")),
        ("Accept-Encoding", "gzip".to_owned()),
    ]);
    Ok(headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// HMAC-SHA256 and HMAC-SHA1 of the JSON; empty without a secret.
fn signatures(secret: &str, json: &str) -> Result<(String, String)> {
    if secret.is_empty() {
        return Ok(Default::default());
    }
    let mut sha256 = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    sha256.update(json.as_bytes());
    let mut sha1 = Hmac::<Sha1>::new_from_slice(secret.as_bytes())?;
    sha1.update(json.as_bytes());
    Ok((
        hex::encode(sha256.finalize().into_bytes()),
        hex::encode(sha1.finalize().into_bytes()),
    ))
}

/// Go's `url.QueryEscape`.
fn query_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(name: &str) -> (String, Vec<(String, String)>) {
        #[derive(Deserialize)]
        struct Request {
            headers: Vec<(String, String)>,
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/gitea/recorded");
        let request: Request =
            serde_json::from_slice(&fs::read(folder.join(format!("{name}.headers.json"))).unwrap())
                .unwrap();
        (
            fs::read_to_string(folder.join(format!("{name}.body"))).unwrap(),
            request.headers,
        )
    }

    /// Our headers for a recorded body, with what only Gitea could know taken from the recording.
    fn ours(
        hook: &Hook,
        json: &str,
        length: usize,
        recorded: &[(String, String)],
    ) -> Vec<(String, String)> {
        let uuid = recorded
            .iter()
            .find(|(name, _)| name == "X-Gitea-Delivery")
            .map(|(_, value)| value)
            .unwrap();
        headers(
            hook,
            &Address::parse(&hook.url).unwrap(),
            uuid,
            Event::Push,
            json,
            length,
        )
        .unwrap()
    }

    fn hook() -> Hook {
        Hook::new("http://127.0.0.1:9099/hooks/gitea", "fixture-secret")
    }

    #[test]
    fn headers_and_signatures_are_those_that_gitea_sent_with_the_same_body() {
        let (json, headers) = recorded("04-push-unicode");
        assert_eq!(ours(&hook(), &json, json.len(), &headers), headers);
    }

    #[test]
    fn a_form_is_encoded_and_signed_as_gitea_does_it() {
        let ((json, _), (body, headers)) = (
            recorded("02-push-first-branch"),
            recorded("03-push-first-branch.form"),
        );
        assert_eq!(format!("payload={}", query_escape(&json)), body);
        let hook = Hook {
            content_type: ContentType::Form,
            ..hook()
        };
        assert_eq!(ours(&hook, &json, body.len(), &headers), headers);
    }

    #[test]
    fn a_hooks_own_authorization_stands_where_gitea_puts_it() {
        let (json, headers) = recorded("46-push-with-authorization-header");
        let hook = Hook {
            authorization: Some("Bearer fixture-token".to_owned()),
            ..hook()
        };
        assert_eq!(ours(&hook, &json, json.len(), &headers), headers);
    }

    #[test]
    fn a_hook_without_a_secret_has_hollow_signatures() {
        let (json, headers) = recorded("47-push-without-secret");
        assert_eq!(
            ours(
                &Hook {
                    secret: String::new(),
                    ..hook()
                },
                &json,
                json.len(),
                &headers
            ),
            headers
        );
    }
}
