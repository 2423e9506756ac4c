//! Connections: how many, how long, and how they end.
//!
//! warp's own server knows neither a header timeout nor a bound on connections, so this is
//! hyper's HTTP/1 server with both. Gitea speaks HTTP/1.1 only.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, error, warn};
use warp::filters::BoxedFilter;
use warp::{Filter, Rejection, Reply};

use crate::peer::Peer;
use crate::routes::reply;

/// The most bytes of a request's head, and of a body's piece in memory. Gitea's heads have 1 KiB.
const BUFFER: usize = 64 * 1024;

/// How long to wait after an accept that failed, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How often a full house is worth a log line.
const FULL_WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// A bound TCP listener.
    Tcp(TcpListener),
    /// A bound Unix listener.
    Unix(UnixListener),
}

/// How much a listener takes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a sender may take for the head of a request, and how long a kept connection may idle.
    pub header_timeout: Duration,
    /// How long a request may take from its head to its answer, and how long the sender may take
    /// to read the answer. `None` where answers are long streams.
    pub request_timeout: Option<Duration>,
    /// How many connections at a time, at least 1. Further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long running requests may go on after the shutdown.
    pub grace: Duration,
}

impl Limits {
    /// Limits for the hook. Gitea gives up 5 s after it began to connect
    /// (`[webhook] DELIVER_TIMEOUT`), so a longer wait could please nobody.
    pub const HOOK: Limits = Limits {
        header_timeout: Duration::from_secs(4),
        request_timeout: Some(Duration::from_secs(4)),
        connections: 64,
        grace: Duration::from_secs(5),
    };
}

/// Serves a warp filter until `shutdown` is ready; then takes no new connection, lets running
/// requests finish within [`Limits::grace`], and cuts what is left. Dropping the future cuts all.
pub async fn serve<F, R>(
    listener: Listener,
    routes: F,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) where
    F: Filter<Extract = (R,)> + Send + Sync + 'static,
    F::Error: Into<Rejection>,
    R: Reply + 'static,
{
    let routes = routes.boxed();
    let mut shutdown = pin!(shutdown);
    let seats = Arc::new(Semaphore::new(limits.connections.max(1)));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut warned = None;

    loop {
        while connections.try_join_next().is_some() {}
        if seats.available_permits() == 0 {
            warn_of_full_house(&mut warned, &limits);
        }
        let next = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (seat, listener.accept().await)
        };
        let (seat, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            next = next => next,
        };
        // The semaphore is never closed.
        let Ok(seat) = seat else { break };
        match accepted {
            Ok((socket, peer)) => {
                let connection = Connection {
                    peer,
                    limits: limits.clone(),
                    watcher: graceful.watcher(),
                    seat,
                };
                connections.spawn(connection.run(socket, routes.clone()));
            }
            Err(error) if is_the_peers(&error) => {
                debug!(%error, "a connection ended before it began")
            }
            Err(error) => {
                error!(%error, "cannot accept connections, trying again in 1 s");
                tokio::select! {
                    () = &mut shutdown => break,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }

    drop(listener);
    if timeout(limits.grace, graceful.shutdown()).await.is_err() {
        warn!("requests that outlasted the grace period are cut");
    }
    connections.shutdown().await;
}

type Socket = Box<dyn ReadWrite + Send + Unpin>;

trait ReadWrite: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> ReadWrite for T {}

impl Listener {
    async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                Ok((Box::new(socket), Peer::Tcp(address)))
            }
            Listener::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                let user = socket.peer_cred().ok().map(|who| who.uid());
                Ok((Box::new(socket), Peer::Unix { user }))
            }
        }
    }
}

struct Connection {
    peer: Peer,
    limits: Limits,
    watcher: Watcher,
    seat: OwnedSemaphorePermit,
}

impl Connection {
    async fn run<R: Reply + 'static>(self, socket: Socket, routes: BoxedFilter<(R,)>) {
        let Connection {
            peer,
            limits,
            watcher,
            seat,
        } = self;
        // When the sender must have read its answer and sent the next head. hyper's own timer
        // covers only a head, so a sender that never reads would keep its seat for ever.
        let (deadline, mut deadlines) = watch::channel(None);
        let filter = TowerToHyperService::new(warp::service(routes));
        let service = service_fn(|mut request: Request<Incoming>| {
            deadline.send_replace(None);
            request.extensions_mut().insert(peer);
            let answer = filter.call(request);
            let (deadline, limits) = (&deadline, &limits);
            async move {
                let Some(limit) = limits.request_timeout else {
                    return answer.await;
                };
                let response = match timeout(limit, answer).await {
                    Ok(response) => response,
                    Err(_) => Ok::<_, Infallible>(reply(
                        StatusCode::REQUEST_TIMEOUT,
                        "Request Timeout\n".to_owned(),
                    )),
                };
                let next = Instant::now() + limit + limits.header_timeout;
                deadline.send_replace(Some(next));
                response
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(socket), service);
        let mut connection = pin!(watcher.watch(connection));
        loop {
            let until = *deadlines.borrow_and_update();
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        debug!(%peer, %error, "connection ended");
                    }
                    break;
                }
                Ok(()) = deadlines.changed() => {}
                () = at(until) => {
                    debug!(%peer, "connection cut: its sender does not read");
                    break;
                }
            }
        }
        drop(seat);
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Faults of one connection, which say nothing about the listener (accept(2)).
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

fn warn_of_full_house(warned: &mut Option<Instant>, limits: &Limits) {
    let now = Instant::now();
    if warned.is_none_or(|last| now.duration_since(last) >= FULL_WARNING_INTERVAL) {
        *warned = Some(now);
        warn!(
            limit = limits.connections,
            "all connections are taken, further ones wait"
        );
    }
}
