//! `/v1` on the control socket: what the command line says to a running daemon.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};
use webhook::Limits;

use crate::api::{HistoryQuery, Hold, HoldRequest, Hosts, ReconcileRequest, Refused};
use crate::plan::plan;
use crate::progress;
use crate::repository::words;
use crate::requests::{self, Fault, RequestError};
use crate::world::World;

/// An answer can be a stream that lasts as long as a deployment, so it has no limit of its own.
pub const LIMITS: Limits = Limits {
    header_timeout: Duration::from_secs(10),
    request_timeout: None,
    connections: 64,
    grace: Duration::from_secs(2),
};

/// A request names hosts and a reason; more is no request of ours.
const LARGEST_REQUEST: u64 = 1024 * 1024;

/// The routes under `/v1`.
pub fn routes(
    world: Arc<World>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let with_world = {
        let world = Arc::clone(&world);
        warp::any().map(move || Arc::clone(&world))
    };
    let status = warp::path!("v1" / "status")
        .and(warp::get())
        .and(with_world.clone())
        .then(|world: Arc<World>| async move { json(requests::status(&world).await) });
    let history = warp::path!("v1" / "history")
        .and(warp::get())
        .and(warp::query::<HistoryQuery>())
        .and(with_world)
        .then(
            |query, world: Arc<World>| async move { json(requests::history(&world, &query).await) },
        );
    status
        .or(history)
        .unify()
        .or(post(&world, "reconcile", |world, request| async move {
            reconcile(&world, &request).await
        }))
        .unify()
        .or(post(&world, "plan", |world, hosts: Hosts| async move {
            json(plan(&world, &hosts).await)
        }))
        .unify()
        .or(hold(&world, Hold::Suspend))
        .unify()
        .or(hold(&world, Hold::Resume))
        .unify()
        .or(hold(&world, Hold::Unpin))
        .unify()
}

fn hold(
    world: &Arc<World>,
    hold: Hold,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + use<> {
    post(
        world,
        hold.path(),
        move |world: Arc<World>, request: HoldRequest| async move {
            json(requests::hold(&world, hold, &request).await)
        },
    )
}

/// `POST /v1/<name>` with a JSON body.
fn post<T, H, F>(
    world: &Arc<World>,
    name: &'static str,
    handler: H,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + use<T, H, F>
where
    T: DeserializeOwned + Send + 'static,
    H: Fn(Arc<World>, T) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send,
{
    let world = Arc::clone(world);
    warp::path("v1")
        .and(warp::path(name))
        .and(warp::path::end())
        .and(warp::post())
        .and(warp::body::content_length_limit(LARGEST_REQUEST))
        .and(warp::body::bytes())
        .then(move |body: Bytes| {
            let world = Arc::clone(&world);
            let handler = handler.clone();
            async move {
                match serde_json::from_slice(&body) {
                    Ok(request) => handler(world, request).await,
                    Err(error) => answer(
                        StatusCode::BAD_REQUEST,
                        &Refused {
                            error: format!("cannot read the request: {error}"),
                        },
                    ),
                }
            }
        })
}

/// Answers with one JSON text a line, as each event comes (<https://github.com/ndjson/ndjson-spec>).
async fn reconcile(world: &Arc<World>, request: &ReconcileRequest) -> Response {
    match progress::order(world, request).await {
        Ok(events) => {
            let lines = events.map(|event| {
                // Plain data with string keys always has a JSON form.
                let mut line = serde_json::to_vec(&event).unwrap_or_default();
                line.push(b'\n');
                Ok::<_, Infallible>(Bytes::from(line))
            });
            let stream = warp::reply::stream(lines);
            let typed = warp::reply::with_header(
                stream,
                http::header::CONTENT_TYPE,
                "application/x-ndjson",
            );
            warp::reply::with_status(typed, StatusCode::ACCEPTED).into_response()
        }
        Err(error) => refuse(&error),
    }
}

fn json<T: Serialize>(result: Result<T, RequestError>) -> Response {
    match result {
        Ok(value) => answer(StatusCode::OK, &value),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &RequestError) -> Response {
    let status = match error.fault() {
        Fault::Askers => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::Away => StatusCode::GATEWAY_TIMEOUT,
        Fault::NothingToDeploy => StatusCode::CONFLICT,
        Fault::Ours => {
            tracing::error!(error = words(error), "a request failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    answer(
        status,
        &Refused {
            error: words(error),
        },
    )
}

fn answer<T: Serialize>(status: StatusCode, value: &T) -> Response {
    warp::reply::with_status(warp::reply::json(value), status).into_response()
}
