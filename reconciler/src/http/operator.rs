//! Metrics and health, for machines of the operator's network.

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use warp::{Filter, Rejection};
use webhook::Limits;

use crate::world::World;

/// Prometheus asks with one or two connections; the rest is for people with curl.
pub const LIMITS: Limits = Limits {
    header_timeout: Duration::from_secs(10),
    request_timeout: Some(Duration::from_secs(30)),
    connections: 32,
    grace: Duration::from_secs(2),
};

/// `GET /metrics`, `/healthz` (the process answers) and `/readyz` (the state can be read).
pub fn routes(
    world: Arc<World>,
) -> impl Filter<Extract = (Response<Vec<u8>>,), Error = Rejection> + Clone + Send + Sync + 'static
{
    warp::path::full()
        .and(warp::get())
        .then(move |path: warp::path::FullPath| {
            let world = Arc::clone(&world);
            async move { answer(&world, path.as_str()).await }
        })
}

async fn answer(world: &World, path: &str) -> Response<Vec<u8>> {
    match path {
        "/metrics" => match world.metrics.text() {
            Ok(text) => plain(StatusCode::OK, text),
            Err(error) => {
                tracing::error!(%error, "cannot write the metrics out");
                plain(StatusCode::INTERNAL_SERVER_ERROR, b"see the log\n".to_vec())
            }
        },
        "/healthz" => plain(StatusCode::OK, b"ok\n".to_vec()),
        "/readyz" => match world.store.wishes().await {
            Ok(_) => plain(StatusCode::OK, b"ready\n".to_vec()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "not ready");
                plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    b"the state cannot be read; see the log\n".to_vec(),
                )
            }
        },
        "/" => plain(
            StatusCode::OK,
            b"reconcile: /metrics /healthz /readyz\n".to_vec(),
        ),
        _ => plain(StatusCode::NOT_FOUND, b"not found\n".to_vec()),
    }
}

/// The content type is the one of Prometheus' text format, which is plain text to everybody else.
fn plain(status: StatusCode, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(prometheus::TEXT_FORMAT),
    );
    response
}
