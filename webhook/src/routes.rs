//! The hook itself: the order of the checks, the answer, the log line.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Buf;
use futures::Stream;
use http::header::{ALLOW, CONNECTION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tracing::{info, warn};
use warp::path::FullPath;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use crate::body::{BodyLimits, Encoding};
use crate::delivery::{self, Delivery, Event};
use crate::escape::escaped;
use crate::peer::Peer;
use crate::refusal::{NotRecorded, Refusal, Verdict};
use crate::signature::{Secrets, signature};

/// What stands behind the receiver.
pub trait Doorbell: Send + Sync + 'static {
    /// The secrets in force now. Asked anew for each request, so that a changed file counts at once.
    fn secrets(&self) -> Arc<Secrets>;

    /// Records a delivery. Returns `Ok` only when it is durable, for then the sender is told so.
    /// Called for [`Event::Pushed`], [`Event::Deleted`] and [`Event::Test`], never for
    /// [`Event::Ignored`]. Dropped unfinished when the time for the request runs out.
    fn ring(&self, delivery: Delivery) -> impl Future<Output = Result<(), NotRecorded>> + Send;

    /// For metrics: every request ends in exactly one call. `event` is one of `push`, `create`,
    /// `delete`, `other` and `none`, taken from a header that nobody vouches for.
    fn answered(&self, event: &'static str, verdict: Verdict);
}

/// What a receiver needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// The hook's path, such as `/hook`. It is heard with and without a slash at its end.
    pub path: String,
    /// The most bytes of a body.
    pub body_limit: u64,
}

/// The receiver. It answers every request itself and rejects none: another path with 404,
/// another method with 405. Every answer closes its connection, because Gitea does not repeat
/// a delivery that it wrote to a kept connection just as that one ended.
pub fn routes<D: Doorbell>(
    settings: ReceiverSettings,
    bell: Arc<D>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let receiver = Arc::new(Receiver {
        path: settings.path.trim_matches('/').to_owned(),
        bodies: BodyLimits::new(settings.body_limit),
        bell,
    });
    warp::path::full()
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .map(|path: FullPath, method, headers, peer| Head {
            path,
            method,
            headers,
            peer,
        })
        .and(warp::body::stream())
        .then(move |head, body| {
            let receiver = Arc::clone(&receiver);
            async move { receiver.answer(head, body).await }
        })
}

struct Receiver<D> {
    path: String,
    bodies: BodyLimits,
    bell: Arc<D>,
}

/// A request without its body.
struct Head {
    path: FullPath,
    method: Method,
    headers: HeaderMap,
    peer: Option<Peer>,
}

impl<D: Doorbell> Receiver<D> {
    async fn answer<B: Buf>(
        &self,
        head: Head,
        body: impl Stream<Item = Result<B, warp::Error>>,
    ) -> Response {
        let mut body = pin!(body);
        let ending = Ending::new(&*self.bell, &head);
        match self.receive(&head, body.as_mut()).await {
            Ok(Event::Ignored { reason, .. }) => {
                ending.settle(Verdict::Ignored);
                reply(StatusCode::OK, format!("ignored: {reason}\n"))
            }
            Ok(_) => {
                ending.settle(Verdict::Accepted);
                reply(StatusCode::ACCEPTED, "accepted\n".to_owned())
            }
            Err(refusal) => {
                let mut response = reply(refusal.status(), format!("{}\n", refusal.answer()));
                if matches!(refusal, Refusal::MethodNotAllowed) {
                    let allowed = HeaderValue::from_static("POST");
                    response.headers_mut().insert(ALLOW, allowed);
                }
                ending.settle(Verdict::Refused(refusal));
                self.bodies.discard(&head.headers, body).await;
                response
            }
        }
    }

    /// Every check, cheapest first, and nothing is parsed before its signature is verified.
    async fn receive<B: Buf>(
        &self,
        head: &Head,
        body: Pin<&mut impl Stream<Item = Result<B, warp::Error>>>,
    ) -> Result<Event, Refusal> {
        if !self.is_hook(head.path.as_str()) {
            return Err(Refusal::NotFound);
        }
        if head.method != Method::POST {
            return Err(Refusal::MethodNotAllowed);
        }
        let encoding = Encoding::of(&head.headers)?;
        let signature = signature(&head.headers).map_err(Refusal::NotSigned)?;
        let body = self.bodies.read(&head.headers, body).await?;
        let json = encoding.signed_json(body.bytes())?;
        let secret = self
            .bell
            .secrets()
            .verify(&json, &signature)
            .ok_or(Refusal::BadSignature)?;
        let delivery = delivery::read(&head.headers, &json).map_err(Refusal::NotUnderstood)?;
        drop(json);
        drop(body);
        head.log_verified(secret, &delivery);

        let event = delivery.event.clone();
        match event {
            Event::Ignored { .. } => {}
            Event::Pushed { .. } | Event::Deleted { .. } | Event::Test { .. } => {
                let recorded = self.bell.ring(delivery).await;
                recorded.map_err(Refusal::NotRecorded)?;
            }
        }
        Ok(event)
    }

    fn is_hook(&self, path: &str) -> bool {
        path.strip_prefix('/')
            .map(|path| path.strip_suffix('/').unwrap_or(path))
            .is_some_and(|path| path == self.path)
    }
}

impl Head {
    fn peer(&self) -> String {
        match &self.peer {
            Some(peer) => peer.to_string(),
            None => "unknown".to_owned(),
        }
    }

    fn delivery_id(&self) -> String {
        delivery::delivery_id(&self.headers).unwrap_or_default()
    }

    fn event_name(&self) -> String {
        delivery::event_name(&self.headers).unwrap_or_default()
    }

    fn log_verified(&self, secret: usize, delivery: &Delivery) {
        let repository = escaped(&delivery.repository);
        let id = &delivery.id;
        let peer = self.peer();
        match &delivery.event {
            Event::Ignored { name, reason } => info!(
                peer,
                delivery = id,
                event = name,
                repository,
                secret,
                reason,
                "delivery is genuine and ignored: {reason}"
            ),
            event => info!(
                peer,
                delivery = id,
                event = self.event_name(),
                repository,
                secret,
                branch = escaped(event.branch().unwrap_or_default()),
                "delivery is genuine"
            ),
        }
    }

    fn log_refused(&self, refusal: &Refusal) {
        let detail = escaped(&with_sources(refusal));
        warn!(
            peer = self.peer(),
            reason = refusal.label(),
            status = refusal.status().as_u16(),
            delivery = self.delivery_id(),
            event = self.event_name(),
            "delivery refused: {detail}"
        );
    }
}

/// Sees to it that a request is counted once and logged, also when it is dropped half-way.
struct Ending<'a, D: Doorbell> {
    bell: &'a D,
    head: &'a Head,
    open: bool,
}

impl<'a, D: Doorbell> Ending<'a, D> {
    fn new(bell: &'a D, head: &'a Head) -> Self {
        Ending {
            bell,
            head,
            open: true,
        }
    }

    fn settle(mut self, verdict: Verdict) {
        self.close(verdict);
    }

    fn close(&mut self, verdict: Verdict) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        if let Verdict::Refused(refusal) = &verdict {
            self.head.log_refused(refusal);
        }
        let event = delivery::event_label(&self.head.headers);
        self.bell.answered(event, verdict);
    }
}

impl<D: Doorbell> Drop for Ending<'_, D> {
    fn drop(&mut self) {
        self.close(Verdict::Refused(Refusal::Abandoned));
    }
}

/// An answer of a few words that ends its connection.
pub(crate) fn reply(status: StatusCode, text: String) -> Response {
    let mut response = warp::reply::with_status(text, status).into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
