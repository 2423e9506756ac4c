//! The daemon's listeners: the hook, the operator's pages and the control socket.

use crate::context::Context;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use webhook::{Limits, Listener, ReceiverSettings};

use super::error::ServeError;
use super::parts::Parts;
use crate::api::{metrics_and_health, routes};
use crate::config::Config;
use crate::controller::deliveries::Receiver;

/// The listeners, bound before anything starts, so that a taken port stops the start and nothing
/// else.
pub(super) struct Surfaces {
    webhook: Option<TcpListener>,
    operator: Option<TcpListener>,
    control: UnixListener,
}

impl Surfaces {
    pub(super) async fn bind(config: &Config) -> Result<Self, ServeError> {
        let webhook = match &config.webhook {
            Some(webhook) => Some(tcp("webhook", webhook.listen).await?),
            None => None,
        };
        let operator = match config.operator_listen {
            Some(address) => Some(tcp("operator", address).await?),
            None => None,
        };
        Ok(Self {
            webhook,
            operator,
            control: unix(&config.control_socket)?,
        })
    }

    pub(super) fn start(
        self,
        parts: &Parts,
        context: &Arc<Context>,
        receiver: Option<&Arc<Receiver>>,
        config: &Config,
    ) {
        let stop = || parts.stop.clone().cancelled_owned();
        if let (Some(listener), Some(receiver), Some(webhook)) =
            (self.webhook, receiver, &config.webhook)
        {
            let settings = ReceiverSettings {
                path: webhook.path.clone(),
                body_limit: webhook.body_limit,
            };
            let routes = webhook::routes(settings, Arc::clone(receiver));
            let serve = webhook::serve(Listener::Tcp(listener), routes, Limits::HOOK, stop());
            parts.run("the webhook's listener", serve);
        }
        if let Some(listener) = self.operator {
            let routes = metrics_and_health::routes(Arc::clone(context));
            let serve = webhook::serve(
                Listener::Tcp(listener),
                routes,
                metrics_and_health::LIMITS,
                stop(),
            );
            parts.run("the operator's listener", serve);
        }
        let routes = routes::routes(Arc::clone(context));
        let serve = webhook::serve(Listener::Unix(self.control), routes, routes::LIMITS, stop());
        parts.run("the control socket's listener", serve);
    }
}

async fn tcp(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen {
            what,
            address: address.to_string(),
            source,
        })
}

/// We hold the state's lock, so a socket that is there belongs to nobody.
fn unix(path: &Path) -> Result<UnixListener, ServeError> {
    let bound = || -> std::io::Result<UnixListener> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        // Whoever may connect may deploy.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bound().map_err(|source| ServeError::Listen {
        what: "control socket",
        address: path.display().to_string(),
        source,
    })
}
