//! What a running daemon takes up when its config, or a file that it names, changes.

use crate::context::{Clients, Context};
use crate::telemetry::metrics::ConfigChange;
use std::collections::BTreeSet;
use std::sync::Arc;

use desired_state::RepositoryName;
use parking_lot::Mutex;

use super::parts::Parts;
use crate::config::{Change, Config, Loaded, load_secrets};
use crate::controller::deliveries::Receiver;
use crate::controller::sources;
use crate::error_chain::error_chain;

/// The repositories that are being watched.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<BTreeSet<RepositoryName>>);

impl Watched {
    /// Watches every repository of the config that is not watched yet.
    pub(super) fn watch_all(self: &Arc<Self>, context: &Arc<Context>, parts: &Parts) {
        for name in context.clients().repositories.keys() {
            if !self.0.lock().insert(name.clone()) {
                continue;
            }
            let (this, context, name) = (Arc::clone(self), Arc::clone(context), name.clone());
            let stop = parts.stop.clone();
            parts.run_until_done(format!("the watch over {name}"), async move {
                stop.run_until_cancelled(sources::watch(context, name.clone()))
                    .await;
                this.0.lock().remove(&name);
            });
        }
    }
}

/// Takes up what changes in the config and in the files that it names, until `stop`.
pub(super) async fn take_up_changes(
    mut changes: tokio::sync::mpsc::Receiver<Change>,
    context: Arc<Context>,
    receiver: Option<Arc<Receiver>>,
    watched: Arc<Watched>,
    parts: Parts,
) {
    while let Some(Some(change)) = parts.stop.run_until_cancelled(changes.recv()).await {
        match change {
            Change::Reloaded(loaded) => {
                reload(&context, &loaded);
                watched.watch_all(&context, &parts);
                reload_secrets(&context, receiver.as_deref());
            }
            Change::Refused(mistakes) => {
                context.metrics.config_changed(ConfigChange::Refused);
                tracing::error!(
                    "the changed config is refused and the old one stays in force:\n{mistakes}"
                );
            }
            Change::SecretsChanged(files) => {
                tracing::info!(?files, "secret files have changed");
                reload_secrets(&context, receiver.as_deref());
                let clients = context.clients();
                ring_all(&clients);
                let key = &clients.config.store.secret_key_file;
                if key.as_ref().is_some_and(|key| files.contains(key)) {
                    try_again_everywhere(&context, &clients);
                }
            }
            Change::SshFilesChanged(files) => {
                tracing::info!(
                    ?files,
                    "files that the config names have changed; they count from now on"
                );
                let before = context.clients();
                if let Err(error) = context.set_up_again() {
                    tracing::error!(
                        error = error_chain(&error),
                        "the files as they were stay in use"
                    );
                }
                ring_all(&before);
                for host in context.clients().config.hosts.keys() {
                    context.waker.wake(host);
                }
            }
        }
    }
}

fn reload(context: &Arc<Context>, loaded: &Loaded) {
    let before = context.clients();
    let after = &loaded.config;
    if let Err(error) = context.take_up(Arc::clone(after)) {
        context.metrics.config_changed(ConfigChange::Refused);
        tracing::error!(
            error = error_chain(&error),
            "the changed config cannot be used and the old one stays in force"
        );
        return;
    }
    context.metrics.config_changed(ConfigChange::Reloaded);
    if of_the_start(&before.config) != of_the_start(after) {
        tracing::warn!("changed listeners, log and state directory count from the next start");
    }
    let changed = before.config.changed_hosts(after);
    for host in &changed {
        if after.hosts.contains_key(host) {
            // A change of the config is a reason to try again what failed.
            context.registries.forgiven.insert(host);
            context.waker.wake(host);
        } else {
            context.waker.forget(host);
            context.metrics.forget_host(host);
        }
    }
    ring_all(&before);
    tracing::info!(changed_hosts = ?changed, "the changed config is taken up");
}

/// What counts from the next start only.
fn of_the_start(config: &Config) -> impl PartialEq + '_ {
    let webhook = config.webhook.as_ref();
    (
        webhook.map(|webhook| (webhook.listen, &webhook.path, webhook.body_limit)),
        config.operator_listen,
        &config.control_socket,
        &config.state_directory,
        &config.log,
    )
}

fn reload_secrets(context: &Context, receiver: Option<&Receiver>) {
    let clients = context.clients();
    let (Some(receiver), Some(webhook)) = (receiver, &clients.config.webhook) else {
        return;
    };
    match load_secrets(webhook) {
        Ok(secrets) => receiver.take_up_secrets(secrets),
        Err(error) => {
            tracing::error!(
                error = error_chain(&error),
                "the old webhook secrets stay in force"
            );
        }
    }
}

/// A key that signs is on the way to every host: a reason to try again what failed.
fn try_again_everywhere(context: &Context, clients: &Clients) {
    for host in clients.config.hosts.keys() {
        context.registries.forgiven.insert(host);
        context.waker.wake(host);
    }
}

/// Has every repository looked at. After a change of the clients it is the clients before that is to be
/// rung: whoever watches waits for a bell of that one, and goes on with the new one.
fn ring_all(clients: &Clients) {
    for repository in clients.repositories.values() {
        repository.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[tokio::test]
    async fn another_key_that_signs_is_a_reason_to_try_again_and_another_webhook_secret_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let tables = "[hosts.cyt-pi]\n\
                      [webhook]\nlisten = \"127.0.0.1:0\"\nsecret_files = [\"secret\"]\n\
                      [store]\nsecret_key_file = \"store-key\"";
        let context = context(folder.path(), tables).await;
        for (changed, is_tried_again) in [("secret", false), ("store-key", true)] {
            let (sender, changes) = tokio::sync::mpsc::channel(1);
            let files = vec![folder.path().join(changed)];
            sender.send(Change::SecretsChanged(files)).await.unwrap();
            drop(sender);
            let (parts, _ended) = Parts::new();
            take_up_changes(changes, Arc::clone(&context), None, Arc::default(), parts).await;
            let host = "cyt-pi".parse().unwrap();
            assert_eq!(
                context.registries.forgiven.take(&host),
                is_tried_again,
                "{changed}"
            );
        }
    }
}
