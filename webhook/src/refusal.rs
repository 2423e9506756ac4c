//! Every way a request ends, every reason to say no, and its status.

use http::StatusCode;
use thiserror::Error;

use crate::delivery::DeliveryError;
use crate::signature::SignatureError;

/// How a request ended.
#[derive(Debug)]
pub enum Verdict {
    /// Recorded durably; the branch will be looked at.
    Accepted,
    /// Genuine, and nothing to do.
    Ignored,
    /// Not taken.
    Refused(Refusal),
}

impl Verdict {
    /// The verdict as a metric label, from a bounded set.
    pub fn label(&self) -> &'static str {
        match self {
            Verdict::Accepted => "accepted",
            Verdict::Ignored => "ignored",
            Verdict::Refused(refusal) => refusal.label(),
        }
    }
}

/// The doorbell's owner could not record a delivery durably.
#[derive(Debug, Error)]
#[error("the delivery could not be recorded")]
pub struct NotRecorded(#[source] Box<dyn std::error::Error + Send + Sync>);

impl NotRecorded {
    /// Wraps what stood in the way.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NotRecorded {
        NotRecorded(cause.into())
    }

    /// The store may be writable again the next time.
    pub fn is_worth_retrying(&self) -> bool {
        true
    }
}

/// Why a request was not taken. The text is for the log; a stranger sees [`Refusal::answer`].
#[derive(Debug, Error)]
pub enum Refusal {
    /// Another path than the hook's.
    #[error(
        "there is nothing at this path: does the hook's URL in Gitea end in the receiver's path?"
    )]
    NotFound,
    /// Not a POST. Gitea's web form offers GET, which cannot carry a body.
    #[error("the method is not POST: choose POST in the hook's settings")]
    MethodNotAllowed,
    /// Neither of the two content types that Gitea sends.
    #[error("the content type is neither application/json nor application/x-www-form-urlencoded")]
    UnsupportedMediaType,
    /// More bytes than the limit, announced or counted.
    #[error(
        "the body is larger than the limit of {limit} bytes: raise webhook.body_limit if this is genuine"
    )]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body ended early or was not valid HTTP.
    #[error("the body could not be read to its end")]
    BodyCut(#[source] warp::Error),
    /// A form without exactly one `payload`.
    #[error("the form does not hold exactly one payload field")]
    BadForm,
    /// No signature that could be checked.
    #[error("not signed")]
    NotSigned(#[source] SignatureError),
    /// A well-formed signature that none of the secrets made.
    #[error(
        "no secret of ours made this signature: is the hook's secret in Gitea the one in the secret file?"
    )]
    BadSignature,
    /// Genuine, but not a delivery as Gitea sends them.
    #[error("signed by us, but not to be understood")]
    NotUnderstood(#[source] DeliveryError),
    /// Genuine, but it could not be written down. Gitea shows it as failed; polling mends it.
    #[error("genuine, but lost if we stopped now")]
    NotRecorded(#[source] NotRecorded),
    /// The sender hung up, or the time for the request ran out.
    #[error("the request took too long or the sender hung up before it was answered")]
    Abandoned,
}

impl Refusal {
    /// The reason as a metric label, from a bounded set.
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::NotFound => "not_found",
            Refusal::MethodNotAllowed => "method_not_allowed",
            Refusal::UnsupportedMediaType => "unsupported_media_type",
            Refusal::TooLarge { .. } => "too_large",
            Refusal::BodyCut(_) => "body_cut",
            Refusal::BadForm => "bad_form",
            Refusal::NotSigned(_) => "not_signed",
            Refusal::BadSignature => "bad_signature",
            Refusal::NotUnderstood(_) => "not_understood",
            Refusal::NotRecorded(_) => "not_recorded",
            Refusal::Abandoned => "abandoned",
        }
    }

    /// The HTTP status. An absent signature and a wrong one answer alike.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::BodyCut(_) | Refusal::BadForm | Refusal::NotUnderstood(_) => {
                StatusCode::BAD_REQUEST
            }
            Refusal::NotSigned(_) | Refusal::BadSignature => StatusCode::FORBIDDEN,
            Refusal::NotRecorded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Abandoned => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// All that a stranger is told: the status in words.
    pub fn answer(&self) -> &'static str {
        self.status().canonical_reason().unwrap_or("refused")
    }

    /// Would the same request fare better later? Gitea never sends one again by itself; a
    /// person can press "redeliver".
    pub fn is_worth_retrying(&self) -> bool {
        matches!(
            self,
            Refusal::NotRecorded(_) | Refusal::BodyCut(_) | Refusal::Abandoned
        )
    }
}
