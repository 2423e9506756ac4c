//! Who carries a command out: the running daemon, or we ourselves where none runs.

use std::sync::Arc;

use desired_state::HostName;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use planning::model::report::{Event, Plan};
use planning::model::requests::{
    History, HistoryQuery, HostSelection, Overridden, Override, OverrideRequest, ReconcileRequest,
    Wait,
};
use planning::model::status::Status;
use tokio_util::sync::CancellationToken;

use super::exit::CliError;
use crate::api::client::{Client, ClientError, Events};
use crate::commands::plan::plan;
use crate::commands::{follow, show, suspend_and_unpin};
use crate::config::{Config, LogConfig, LogFormat};
use crate::context::Context;
use crate::controller::reconcile::reconcile;
use crate::controller::runner::{self, Heartbeat};
use crate::error_chain::error_chain;
use crate::state;
use crate::state::lock::{StateLock, lock};
use crate::telemetry::logging;

/// Who carries a command out.
pub enum Backend {
    /// The daemon, over its control socket.
    Daemon(Client),
    /// We, under the same lock as the daemon's.
    Alone(Alone),
}

/// The context, held by this process alone.
pub struct Alone {
    context: Arc<Context>,
    _lock: StateLock,
}

/// What happens to hosts, as it comes.
pub enum Progress<'a> {
    /// As the daemon tells it.
    Daemon(Events),
    /// As we do it.
    Alone {
        /// The events.
        events: BoxStream<'a, Event>,
        /// Ends our own loop when this is dropped.
        _stop: tokio_util::sync::DropGuard,
    },
}

impl Backend {
    /// The daemon if one runs, else ourselves.
    pub async fn find(config: &Arc<Config>) -> Result<Self, CliError> {
        match Client::find(&config.control_socket).await {
            Ok(client) => Ok(Self::Daemon(client)),
            Err(ClientError::NoDaemon { .. }) => {
                let lock = lock(&config.state_directory)?;
                logging::set_up(&LogConfig {
                    format: LogFormat::Text,
                    // Progress is told by events; the log is for what goes wrong besides.
                    level: std::env::var("RECONCILE_LOG").unwrap_or_else(|_| "error".to_owned()),
                })?;
                let context = Context::open(Arc::clone(config)).await?;
                Ok(Self::Alone(Alone {
                    context,
                    _lock: lock,
                }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// See [`show::status`].
    pub async fn status(&self) -> Result<Status, CliError> {
        Ok(match self {
            Self::Daemon(client) => client.get("/v1/status").await?,
            Self::Alone(alone) => show::status(&alone.context).await?,
        })
    }

    /// See [`show::history`].
    pub async fn history(&self, query: &HistoryQuery) -> Result<History, CliError> {
        Ok(match self {
            Self::Daemon(client) => {
                let mut path = format!("/v1/history?limit={}", query.limit);
                // Both are made of characters that need no escape in a query.
                if let Some(host) = &query.host {
                    path.push_str(&format!("&host={host}"));
                }
                if let Some(kind) = &query.kind {
                    path.push_str(&format!("&kind={kind}"));
                }
                client.get(&path).await?
            }
            Self::Alone(alone) => show::history(&alone.context, query).await?,
        })
    }

    /// See [`plan`].
    pub async fn plan(&self, hosts: &HostSelection) -> Result<Vec<Plan>, CliError> {
        Ok(match self {
            Self::Daemon(client) => client.post("/v1/plan", hosts).await?,
            Self::Alone(alone) => plan(&alone.context, hosts).await?,
        })
    }

    /// See [`suspend_and_unpin::change`].
    pub async fn change(
        &self,
        change: Override,
        request: &OverrideRequest,
    ) -> Result<Overridden, CliError> {
        Ok(match self {
            Self::Daemon(client) => {
                let path = format!("/v1/{}", change.path());
                client.post(&path, request).await?
            }
            Self::Alone(alone) => {
                suspend_and_unpin::change(&alone.context, change, request).await?
            }
        })
    }

    /// See [`follow::order`].
    pub async fn reconcile(&self, request: &ReconcileRequest) -> Result<Progress<'_>, CliError> {
        match self {
            Self::Daemon(client) => Ok(Progress::Daemon(
                client.post_for_events("/v1/reconcile", request).await?,
            )),
            Self::Alone(_) if request.wait == Wait::No => Err(CliError::NobodyToGoOn),
            Self::Alone(alone) => {
                let events = follow::order(&alone.context, request).await?;
                let stop = CancellationToken::new();
                let (context, stopped) = (Arc::clone(&alone.context), stop.clone());
                tokio::spawn(async move {
                    let one = |host: HostName| {
                        let context = Arc::clone(&context);
                        async move {
                            // Looking at the repository may wake others; only what was asked for is done.
                            if context.orders.has(&host) {
                                reconcile(context, host).await
                            } else {
                                None
                            }
                        }
                    };
                    let unheard = Heartbeat::unheard();
                    runner::run(&context.waker, one, unheard, stopped.cancelled_owned()).await;
                });
                Ok(Progress::Alone {
                    events: events.boxed(),
                    _stop: stop.drop_guard(),
                })
            }
        }
    }
}

impl Backend {
    /// Writes down what a daemon would write down in time.
    pub async fn close(self) {
        if let Self::Alone(alone) = self
            && let Err(error) = state::host::write_last_seen(&alone.context).await
        {
            tracing::warn!(
                error = error_chain(&error),
                "it is not written down when hosts were last seen"
            );
        }
    }
}

impl Progress<'_> {
    /// The next event, or `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Event>, CliError> {
        match self {
            Self::Daemon(events) => Ok(events.next().await?),
            Self::Alone { events, .. } => Ok(events.next().await),
        }
    }
}

/// The name of the user who runs us, or the number of one without a name.
fn user() -> String {
    let id = nix::unistd::getuid();
    match nix::unistd::User::from_uid(id) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {id}"),
    }
}

/// Who asks, for the history: the person behind sudo, else the user.
pub fn asker() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(user)
}
