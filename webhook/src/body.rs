//! Reading a body within its bound, and finding the signed JSON in it.

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use bytes::Buf;
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::refusal::Refusal;

/// A body up to this many bytes is kept at once; deliveries seen are 2 to 13 KiB.
const SMALL_BODY: u64 = 64 * 1024;

/// How many larger bodies are held at a time. Strangers can make us hold a body before its
/// signature can be judged, so all bodies together need a bound too.
const LARGE_BODIES: usize = 2;

/// How long to go on reading a body that is refused already.
const DISCARD_TIME: Duration = Duration::from_secs(1);

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

    /// Reads what is left of a refused body and forgets it, within the limit and a second. A
    /// socket that is closed while bytes wait in it is reset, and the sender might never see the
    /// answer. Who asked first (`Expect: 100-continue`, RFC 9110 §10.1.1) has sent nothing yet,
    /// and reading would invite it.
    pub async fn discard<B: Buf>(
        &self,
        headers: &HeaderMap,
        mut body: Pin<&mut impl Stream<Item = Result<B, warp::Error>>>,
    ) {
        if headers.contains_key(EXPECT) {
            return;
        }
        let reading = async {
            let mut count: u64 = 0;
            while let Some(Ok(chunk)) = body.next().await {
                count = count.saturating_add(chunk.remaining() as u64);
                if count > self.limit {
                    break;
                }
            }
        };
        // Either way the answer is given now.
        let _ = timeout(DISCARD_TIME, reading).await;
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn encoding(values: &[&'static str]) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        Encoding::of(&headers).ok()
    }

    #[test]
    fn the_two_content_types_of_gitea_are_known_with_or_without_parameters() {
        assert_eq!(encoding(&["application/json"]), Some(Encoding::Json));
        assert_eq!(
            encoding(&["Application/JSON; charset=utf-8"]),
            Some(Encoding::Json)
        );
        assert_eq!(
            encoding(&["application/x-www-form-urlencoded"]),
            Some(Encoding::Form)
        );
        for unknown in [
            "",
            "text/json",
            "application/jsonp",
            "multipart/form-data",
            ";",
        ] {
            assert_eq!(encoding(&[unknown]), None, "{unknown}");
        }
        assert_eq!(encoding(&[]), None);
        assert_eq!(encoding(&["application/json", "application/json"]), None);
    }

    #[test]
    fn a_form_gives_its_decoded_payload() {
        let json = |form: &str| {
            let json = Encoding::Form.signed_json(form.as_bytes());
            json.ok()
                .map(|json| String::from_utf8(json.into_owned()).unwrap())
        };
        assert_eq!(
            json("payload=%7B%22a%22%3A+%22%2B%C3%BC%22%7D").unwrap(),
            "{\"a\": \"+ü\"}"
        );
        assert_eq!(json("x=1&payload=abc&y").unwrap(), "abc");
        assert_eq!(json("payload=").unwrap(), "");
        for bad in ["", "payloads=1", "payload=1&payload=1", "{}"] {
            assert_eq!(json(bad), None, "{bad}");
        }
    }
}
