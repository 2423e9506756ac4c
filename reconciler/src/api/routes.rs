//! `/v1` on the control socket: what the command line says to a running daemon.

use crate::commands::error::{Fault, RequestError};
use crate::context::Context;
use planning::model::requests::{
    HistoryQuery, HostSelection, Override, OverrideRequest, ReconcileRequest, Refused,
};
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

use crate::commands::plan::plan;
use crate::commands::{follow, show, suspend_and_unpin};
use crate::error_chain::error_chain;

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
    context: Arc<Context>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let with_world = {
        let context = Arc::clone(&context);
        warp::any().map(move || Arc::clone(&context))
    };
    let status = warp::path!("v1" / "status")
        .and(warp::get())
        .and(with_world.clone())
        .then(|context: Arc<Context>| async move { json(show::status(&context).await) });
    let history =
        warp::path!("v1" / "history")
            .and(warp::get())
            .and(warp::query::<HistoryQuery>())
            .and(with_world)
            .then(|query, context: Arc<Context>| async move {
                json(show::history(&context, &query).await)
            });
    status
        .or(history)
        .unify()
        .or(post(&context, "reconcile", |context, request| async move {
            reconcile(&context, &request).await
        }))
        .unify()
        .or(post(
            &context,
            "plan",
            |context, hosts: HostSelection| async move { json(plan(&context, &hosts).await) },
        ))
        .unify()
        .or(change(&context, Override::Suspend))
        .unify()
        .or(change(&context, Override::Resume))
        .unify()
        .or(change(&context, Override::Unpin))
        .unify()
}

fn change(
    context: &Arc<Context>,
    change: Override,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + use<> {
    post(
        context,
        change.path(),
        move |context: Arc<Context>, request: OverrideRequest| async move {
            json(suspend_and_unpin::change(&context, change, &request).await)
        },
    )
}

/// `POST /v1/<name>` with a JSON body.
fn post<T, H, F>(
    context: &Arc<Context>,
    name: &'static str,
    handler: H,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + use<T, H, F>
where
    T: DeserializeOwned + Send + 'static,
    H: Fn(Arc<Context>, T) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send,
{
    let context = Arc::clone(context);
    warp::path("v1")
        .and(warp::path(name))
        .and(warp::path::end())
        .and(warp::post())
        .and(warp::body::content_length_limit(LARGEST_REQUEST))
        .and(warp::body::bytes())
        .then(move |body: Bytes| {
            let context = Arc::clone(&context);
            let handler = handler.clone();
            async move {
                match serde_json::from_slice(&body) {
                    Ok(request) => handler(context, request).await,
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
async fn reconcile(context: &Arc<Context>, request: &ReconcileRequest) -> Response {
    match follow::order(context, request).await {
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
            tracing::error!(error = error_chain(error), "a request failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    answer(
        status,
        &Refused {
            error: error_chain(error),
        },
    )
}

fn answer<T: Serialize>(status: StatusCode, value: &T) -> Response {
    warp::reply::with_status(warp::reply::json(value), status).into_response()
}
