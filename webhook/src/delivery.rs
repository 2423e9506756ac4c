//! The few fields of a delivery that are read, and which events concern us.
//!
//! The name of the repository, the name of the branch, and whether the branch is gone: nothing
//! else in a payload is believed, and where the branch leads is only for being compared. Fields come and go with Gitea's versions, so all are optional
//! and unknown ones are passed over. Facts are from `modules/structs/hook.go` and
//! `services/repository/push.go` of Gitea and from recorded deliveries.

use http::HeaderMap;
use serde::Deserialize;
use thiserror::Error;

use crate::escape::first_header;

/// Where the event's name stands, best first. The fine name is right where Forgejo leaves the
/// coarse one empty.
const EVENT_HEADERS: [&str; 8] = [
    "x-gitea-event-type",
    "x-forgejo-event-type",
    "x-github-event-type",
    "x-gogs-event-type",
    "x-gitea-event",
    "x-forgejo-event",
    "x-github-event",
    "x-gogs-event",
];

/// Where the delivery's id stands; all hold the same one.
const DELIVERY_HEADERS: [&str; 4] = [
    "x-gitea-delivery",
    "x-forgejo-delivery",
    "x-github-delivery",
    "x-gogs-delivery",
];

/// The most characters of a delivery id. Gitea's are UUIDs, with 36.
const DELIVERY_ID_CHARACTERS: usize = 64;

/// The most bytes of a repository's full name. Gitea allows 40 for the owner and 100 for the name.
const REPOSITORY_BYTES: usize = 255;

/// The most bytes of a branch name that are passed on; Gitea's database column has room for 255.
const BRANCH_BYTES: usize = 255;

/// The hexadecimal digits of a SHA-1 object id.
const SHA1_DIGITS: usize = 40;

/// The hexadecimal digits of a SHA-256 object id.
const SHA256_DIGITS: usize = 64;

const NOT_OURS: &str = "this kind of event asks for nothing";
const A_TAG: &str = "this is a tag, and hosts follow branches";
const NOT_A_BRANCH: &str = "this is not a branch";
const LONG_BRANCH: &str = "the branch name is longer than 255 bytes";
const SHA256_REPOSITORY: &str = "this repository uses the sha256 object format, which Nix and libgit2 cannot fetch: \
     hosts can only follow a repository with the sha1 format";

/// A verified delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The id that the server gave it: printable, at most 64 characters. It is not covered by the
    /// signature, and a redelivery has a new one.
    pub id: String,
    /// What it asks for.
    pub event: Event,
    /// `owner/name` as sent, at most 255 bytes, not validated. Empty only where an ignored event
    /// names no repository.
    pub repository: String,
    /// Where the sender says that a pushed branch leads now: 40 hexadecimal digits. It is for being compared with what
    /// was fetched, and never says what to deploy.
    pub head: Option<String>,
}

/// What a delivery asks for. The event's name is not covered by the signature, so none of these
/// may have more power than to look at a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A push to a branch, or its creation: look at it.
    Pushed {
        /// The branch without `refs/heads/`.
        branch: String,
    },
    /// A branch was deleted. Gitea up to about 1.12 says so with a push to the zero id.
    Deleted {
        /// The branch without `refs/heads/`.
        branch: String,
    },
    /// A test delivery: `before` and `after` are equal.
    Test {
        /// The branch without `refs/heads/`.
        branch: String,
    },
    /// Answered with success, and nothing happens.
    Ignored {
        /// The event's name as sent, escaped.
        name: String,
        /// Why, in plain words.
        reason: &'static str,
    },
}

impl Event {
    /// The branch to look at, if any.
    pub fn branch(&self) -> Option<&str> {
        match self {
            Event::Pushed { branch } | Event::Deleted { branch } | Event::Test { branch } => {
                Some(branch)
            }
            Event::Ignored { .. } => None,
        }
    }
}

/// Why a genuine request is not a delivery.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// Every Gitea and Forgejo names the event.
    #[error("no header names the event")]
    NoEvent,
    /// Every Gitea and Forgejo gives an id.
    #[error("no header holds a delivery id of 1 to 64 printable characters")]
    NoId,
    /// Not JSON, or a field has another type than Gitea gives it.
    #[error("the payload is not what Gitea sends")]
    NotJson(#[source] serde_json::Error),
    /// A field that this event always has is absent.
    #[error("the payload has no {0}")]
    Lacks(&'static str),
    /// The name of the repository is longer than Gitea allows.
    #[error("the repository's name is longer than {REPOSITORY_BYTES} bytes")]
    LongRepository,
}

impl DeliveryError {
    /// The same bytes mean the same the next time.
    pub fn is_worth_retrying(&self) -> bool {
        false
    }
}

#[derive(Deserialize)]
struct Envelope {
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: Option<String>,
    object_format_name: Option<String>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "ref")]
    reference: Option<String>,
    ref_type: Option<String>,
    before: Option<String>,
    after: Option<String>,
    sha: Option<String>,
}

/// The event's name, escaped and cut, if a header has one. Not covered by the signature.
pub fn event_name(headers: &HeaderMap) -> Option<String> {
    first_header(headers, &EVENT_HEADERS)
}

/// The delivery's id, escaped and cut, if a header has one. Not covered by the signature.
pub fn delivery_id(headers: &HeaderMap) -> Option<String> {
    first_header(headers, &DELIVERY_HEADERS)
}

/// The event's name as a metric label, from a bounded set.
pub fn event_label(headers: &HeaderMap) -> &'static str {
    match event_name(headers).as_deref() {
        Some("push") => "push",
        Some("create") => "create",
        Some("delete") => "delete",
        Some(_) => "other",
        None => "none",
    }
}

/// What a delivery says. `json` is the text whose signature has been verified; nothing else may
/// be given. Nesting cannot exhaust the stack: serde_json passes over unknown fields without
/// recursion, and the known ones are two levels deep.
pub fn read(headers: &HeaderMap, json: &[u8]) -> Result<Delivery, DeliveryError> {
    let name = event_name(headers).ok_or(DeliveryError::NoEvent)?;
    let id = delivery_id(headers)
        .filter(|id| id.chars().count() <= DELIVERY_ID_CHARACTERS)
        .ok_or(DeliveryError::NoId)?;
    let envelope: Envelope = serde_json::from_slice(json).map_err(DeliveryError::NotJson)?;
    let (full_name, object_format) = match envelope.repository {
        Some(repository) => (repository.full_name, repository.object_format_name),
        None => (None, None),
    };
    if full_name
        .as_ref()
        .is_some_and(|name| name.len() > REPOSITORY_BYTES)
    {
        return Err(DeliveryError::LongRepository);
    }
    let mut head = None;
    let told = match name.as_str() {
        "push" | "create" | "delete" => {
            if full_name.as_deref().is_none_or(str::is_empty) {
                return Err(DeliveryError::Lacks("repository.full_name"));
            }
            let change: Change = serde_json::from_slice(json).map_err(DeliveryError::NotJson)?;
            if object_format.as_deref() == Some("sha256") || change.has_sha256_id() {
                Err(SHA256_REPOSITORY)
            } else if name == "push" {
                head = change.head();
                change.pushed()?
            } else {
                change.created_or_deleted(&name)?
            }
        }
        _ => Err(NOT_OURS),
    };
    Ok(Delivery {
        id,
        event: told.unwrap_or_else(|reason| Event::Ignored { name, reason }),
        repository: full_name.unwrap_or_default(),
        head,
    })
}

/// What an event asks for, or why it asks for nothing.
type Told = Result<Event, &'static str>;

impl Change {
    fn pushed(self) -> Result<Told, DeliveryError> {
        let before = self.before.ok_or(DeliveryError::Lacks("before"))?;
        let after = self.after.ok_or(DeliveryError::Lacks("after"))?;
        let reference = self.reference.ok_or(DeliveryError::Lacks("ref"))?;
        Ok(branch_of(&reference).map(|branch| {
            // A test delivery from the browser has zeros on both sides, and is no deletion.
            if before == after {
                Event::Test { branch }
            } else if is_zero(&after) {
                Event::Deleted { branch }
            } else {
                Event::Pushed { branch }
            }
        }))
    }

    fn created_or_deleted(self, name: &str) -> Result<Told, DeliveryError> {
        let reference = self.reference.ok_or(DeliveryError::Lacks("ref"))?;
        Ok(match self.ref_type.as_deref() {
            Some("branch") => branch_of(&reference).map(|branch| match name {
                "delete" => Event::Deleted { branch },
                _ => Event::Pushed { branch },
            }),
            Some("tag") => Err(A_TAG),
            Some(_) => Err(NOT_A_BRANCH),
            None => return Err(DeliveryError::Lacks("ref_type")),
        })
    }

    fn head(&self) -> Option<String> {
        let is_id = |id: &&String| {
            id.len() == SHA1_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit()) && !is_zero(id)
        };
        self.after.as_ref().filter(is_id).cloned()
    }

    fn has_sha256_id(&self) -> bool {
        [&self.before, &self.after, &self.sha]
            .into_iter()
            .flatten()
            .any(|id| id.len() == SHA256_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit()))
    }
}

/// The branch that a full or short name of a reference means. Gitea's `create` and `delete` and
/// its test call send short names, Forgejo's full ones.
fn branch_of(reference: &str) -> Result<String, &'static str> {
    let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
    if branch.starts_with("refs/tags/") {
        Err(A_TAG)
    } else if branch.is_empty() || branch.starts_with("refs/") {
        Err(NOT_A_BRANCH)
    } else if branch.len() > BRANCH_BYTES {
        Err(LONG_BRANCH)
    } else {
        Ok(branch.to_owned())
    }
}

fn is_zero(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests;
