//! The server on a real socket, and senders that write bytes as they like.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use warp::Filter;
use webhook::{Limits, Listener, routes, serve};

use crate::harness::{Bell, settings};

/// Long enough for anything on a busy machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(bell: &Arc<Bell>, limits: Limits) -> Server {
        Server::start_with(routes(settings(), Arc::clone(bell)), limits).await
    }

    pub async fn start_with<F, R>(routes: F, limits: Limits) -> Server
    where
        F: Filter<Extract = (R,)> + Send + Sync + 'static,
        F::Error: Into<warp::Rejection>,
        R: warp::Reply + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(Listener::Tcp(listener), routes, limits, async {
            let _ = stopped.await;
        }));
        Server {
            address,
            stop: Some(stop),
            task,
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Writes the bytes and reads until the server closes.
    pub async fn talk(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect().await;
        socket.write_all(bytes).await.unwrap();
        to_end(&mut socket).await
    }

    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub async fn stopped(self) {
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

/// What the server sent until it closed; a reset ends it too.
pub async fn to_end(socket: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer))
        .await
        .expect("never closed");
    String::from_utf8(answer).unwrap()
}

pub fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

/// Waits until something is true.
pub async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("never came true");
}
