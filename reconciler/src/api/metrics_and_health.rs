//! Metrics and health, for machines of the operator's network.

use crate::context::Context;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use warp::{Filter, Rejection};
use webhook::Limits;

/// Prometheus asks with one or two connections; the rest is for people with curl.
pub const LIMITS: Limits = Limits {
    header_timeout: Duration::from_secs(10),
    request_timeout: Some(Duration::from_secs(30)),
    connections: 32,
    grace: Duration::from_secs(2),
};

/// `GET /metrics`, `/healthz` (the loop turns; if not, a restart is the mend) and `/readyz` (the state can be read).
pub fn routes(
    context: Arc<Context>,
) -> impl Filter<Extract = (Response<Vec<u8>>,), Error = Rejection> + Clone + Send + Sync + 'static
{
    warp::path::full()
        .and(warp::get())
        .then(move |path: warp::path::FullPath| {
            let context = Arc::clone(&context);
            async move { answer(&context, path.as_str()).await }
        })
}

async fn answer(context: &Context, path: &str) -> Response<Vec<u8>> {
    match path {
        "/metrics" => match context.metrics.text() {
            Ok(text) => plain(StatusCode::OK, text),
            Err(error) => {
                tracing::error!(%error, "cannot write the metrics out");
                plain(StatusCode::INTERNAL_SERVER_ERROR, b"see the log\n".to_vec())
            }
        },
        "/healthz" => match context.liveness.stalled_for() {
            None => plain(StatusCode::OK, b"ok\n".to_vec()),
            Some(silence) => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the loop has not turned for {} s\n", silence.as_secs()).into_bytes(),
            ),
        },
        "/readyz" => match context.store.wishes().await {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[tokio::test]
    async fn a_process_whose_loop_has_stalled_says_that_it_is_not_healthy() {
        let folder = tempfile::tempdir().unwrap();
        let context = context(folder.path(), "[hosts.cyt-pi]").await;
        tokio::time::pause();
        assert_eq!(answer(&context, "/healthz").await.status(), StatusCode::OK);
        tokio::time::advance(Duration::from_secs(90)).await;
        let stalled = answer(&context, "/healthz").await;
        assert_eq!(stalled.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(stalled.body(), b"the loop has not turned for 90 s\n");
        context.liveness.turned();
        assert_eq!(answer(&context, "/healthz").await.status(), StatusCode::OK);
    }
}
