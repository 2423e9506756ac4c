//! Speaks to a running daemon over its control socket.

use planning::model::report::Event;
use planning::model::requests::Refused;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// A daemon that lives accepts within a moment; one that does not is as good as none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The status of some thousand hosts fits many times.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// An event carries at most a bounded tail of output.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// Why a daemon could not be spoken with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon listens at {}", .path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// We may not.
    #[error("not allowed to use {}: run as the user that the daemon runs as, or as root", .0.display())]
    NotAllowed(PathBuf),
    /// It does not answer.
    #[error("the daemon does not accept a connection within {} s", CONNECT_TIMEOUT.as_secs())]
    Silent,
    /// The connection broke.
    #[error("the connection to the daemon broke")]
    Broken(#[source] hyper::Error),
    /// The request could not be written.
    #[error("cannot write the request")]
    Request(#[source] http::Error),
    /// The answer is not what we expect.
    #[error("the daemon's answer cannot be read: is it of another version?")]
    Unreadable(#[source] serde_json::Error),
    /// The answer is longer than any of ours.
    #[error("the daemon's answer is too long to be one")]
    TooLong,
    /// It refused.
    #[error("{error}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it says.
        error: String,
    },
    /// It ended before the work did.
    #[error(
        "the daemon ended before the work was done; it goes on when the daemon is started again"
    )]
    Ended,
}

impl ClientError {
    /// Whether the same call can succeed later.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(
            self,
            Self::NoDaemon { .. } | Self::Silent | Self::Broken(_) | Self::Ended
        )
    }
}

/// The way to a running daemon.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Looks whether a daemon listens at `socket`.
    ///
    /// # Errors
    /// [`ClientError::NoDaemon`] if none does; another if one does and cannot be used.
    pub async fn find(socket: &Path) -> Result<Self, ClientError> {
        let client = Self {
            socket: socket.to_owned(),
        };
        client.connect().await?;
        Ok(client)
    }

    /// `GET` and a JSON answer.
    ///
    /// # Errors
    /// When the daemon cannot be spoken with, or refuses.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        whole(self.send(Method::GET, path, Bytes::new()).await?).await
    }

    /// `POST` and a JSON answer.
    ///
    /// # Errors
    /// When the daemon cannot be spoken with, or refuses.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        whole(self.send(Method::POST, path, text(body)).await?).await
    }

    /// `POST` and a line of JSON an event.
    ///
    /// # Errors
    /// When the daemon cannot be spoken with, or refuses.
    pub async fn post_for_events(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Events, ClientError> {
        let response = self.send(Method::POST, path, text(body)).await?;
        Ok(Events {
            body: response.into_body(),
            buffer: BytesMut::new(),
        })
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.socket)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(ClientError::NotAllowed(self.socket.clone()))
            }
            Ok(Err(source)) => Err(ClientError::NoDaemon {
                path: self.socket.clone(),
                source,
            }),
            Err(_) => Err(ClientError::Silent),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(stream)
            .await
            .map_err(ClientError::Broken)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "reconcile")
            .body(Full::new(body))
            .map_err(ClientError::Request)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(ClientError::Broken)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = collect(response).await?;
        let error = match serde_json::from_slice::<Refused>(&body) {
            Ok(refused) => refused.error,
            Err(_) => format!("the daemon answered {status}: is it of another version?"),
        };
        Err(ClientError::Refused { status, error })
    }
}

/// Events as they come.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    /// The next event, or `None` after the last.
    ///
    /// # Errors
    /// When the connection breaks or a line makes no sense.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(ClientError::Unreadable);
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(ClientError::TooLong);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => return Err(ClientError::Ended),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(ClientError::Ended),
            }
        }
    }
}

fn text(body: &impl Serialize) -> Bytes {
    // Plain data with string keys always has a JSON form.
    serde_json::to_vec(body).unwrap_or_default().into()
}

async fn whole<T: DeserializeOwned>(response: http::Response<Incoming>) -> Result<T, ClientError> {
    let body = collect(response).await?;
    serde_json::from_slice(&body).map_err(ClientError::Unreadable)
}

async fn collect(response: http::Response<Incoming>) -> Result<Bytes, ClientError> {
    http_body_util::Limited::new(response.into_body(), LARGEST_ANSWER)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(broken) => ClientError::Broken(*broken),
            Err(_) => ClientError::TooLong,
        })
}
