//! Reading a body within its bound, and finding the signed JSON in it.

use std::borrow::Cow;
use std::pin::{Pin, pin};

use bytes::Buf;
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::refusal::Refusal;

/// A body up to this many bytes is kept at once; deliveries seen are 2 to 13 KiB.
const SMALL_BODY: u64 = 64 * 1024;

/// How many larger bodies are held at a time. Strangers can make us hold a body before its
/// signature can be judged, so all bodies together need a bound too.
const LARGE_BODIES: usize = 2;

/// How the JSON is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`: the body is the JSON, byte for byte.
    Json,
    /// `application/x-www-form-urlencoded`: the JSON is the form's field `payload`.
    Form,
}

/// Bounds that a receiver's bodies share.
#[derive(Debug)]
pub struct BodyLimits {
    limit: u64,
    large: Semaphore,
}

/// A body in memory.
pub struct Body<'a> {
    bytes: Vec<u8>,
    _large: Option<SemaphorePermit<'a>>,
}

impl Encoding {
    /// The encoding that the content type names. Parameters such as a charset are passed over.
    pub fn of(headers: &HeaderMap) -> Result<Encoding, Refusal> {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Refusal::UnsupportedMediaType);
        };
        let essence = value.to_str().unwrap_or("").split(';').next().unwrap_or("");
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/json" => Ok(Encoding::Json),
            "application/x-www-form-urlencoded" => Ok(Encoding::Form),
            _ => Err(Refusal::UnsupportedMediaType),
        }
    }

    /// The JSON text that the server signed. For a form that is the decoded `payload`, not the
    /// body: GitHub signs the body in both cases, Gitea never does.
    pub fn signed_json(self, body: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
        match self {
            Encoding::Json => Ok(Cow::Borrowed(body)),
            Encoding::Form => {
                let mut payloads = form_urlencoded::parse(body)
                    .filter_map(|(key, value)| (key == "payload").then_some(value));
                match (payloads.next(), payloads.next()) {
                    (Some(payload), None) => Ok(match payload {
                        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                    }),
                    _ => Err(Refusal::BadForm),
                }
            }
        }
    }
}

impl BodyLimits {
    /// Bodies of at most `limit` bytes.
    pub fn new(limit: u64) -> BodyLimits {
        BodyLimits {
            limit,
            large: Semaphore::new(LARGE_BODIES),
        }
    }

    /// Reads a body to its end, counting. A length that is announced too large is refused
    /// unread; one that is not announced, as in a chunked body, when the count passes the limit.
    pub async fn read<B: Buf>(
        &self,
        headers: &HeaderMap,
        mut body: Pin<&mut impl Stream<Item = Result<B, warp::Error>>>,
    ) -> Result<Body<'_>, Refusal> {
        let too_large = || Refusal::TooLarge { limit: self.limit };
        if announced_length(headers).is_some_and(|length| length > self.limit) {
            return Err(too_large());
        }
        let mut read = Body {
            bytes: Vec::new(),
            _large: None,
        };
        let mut count: u64 = 0;
        while let Some(chunk) = body.next().await {
            let mut chunk = chunk.map_err(Refusal::BodyCut)?;
            count = count.saturating_add(chunk.remaining() as u64);
            if count > self.limit {
                return Err(too_large());
            }
            if count > SMALL_BODY && read._large.is_none() {
                // Waiting is bounded by the time for the request. The semaphore is never closed.
                read._large = self.large.acquire().await.ok();
            }
            while chunk.has_remaining() {
                let part = chunk.chunk();
                read.bytes.extend_from_slice(part);
                let length = part.len();
                chunk.advance(length);
            }
        }
        Ok(read)
    }

    /// Reads what is left of a refused body and forgets it, up to the limit. A socket that is
    /// closed while bytes wait in it is reset, and the sender might never see the answer.
    pub async fn discard<B: Buf>(&self, body: impl Stream<Item = Result<B, warp::Error>>) {
        let mut body = pin!(body);
        let mut count: u64 = 0;
        while let Some(Ok(chunk)) = body.next().await {
            count = count.saturating_add(chunk.remaining() as u64);
            if count > self.limit {
                return;
            }
        }
    }
}

impl Body<'_> {
    /// The body's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
