//! What a running daemon takes up when its config, or a file that it names, changes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use desired_state::RepositoryName;

use super::parts::Parts;
use crate::config::{Change, Loaded, load_secrets};
use crate::doorbell::Bell;
use crate::metrics::ConfigChange;
use crate::repository::{self, words};
use crate::world::{Setup, World};

/// The repositories that are being watched.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<BTreeSet<RepositoryName>>);

impl Watched {
    /// Watches every repository of the config that is not watched yet.
    pub(super) fn watch_all(self: &Arc<Self>, world: &Arc<World>, parts: &Parts) {
        for name in world.setup().repositories.keys() {
            if !self.names().insert(name.clone()) {
                continue;
            }
            let (this, world, name) = (Arc::clone(self), Arc::clone(world), name.clone());
            let stop = parts.stop.clone();
            parts.run_until_done(format!("the watch over {name}"), async move {
                stop.run_until_cancelled(repository::watch(world, name.clone()))
                    .await;
                this.names().remove(&name);
            });
        }
    }

    fn names(&self) -> std::sync::MutexGuard<'_, BTreeSet<RepositoryName>> {
        // Whole between any two statements, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes up what changes in the config and in the files that it names, until `stop`.
pub(super) async fn take_up_changes(
    mut changes: tokio::sync::mpsc::Receiver<Change>,
    world: Arc<World>,
    bell: Option<Arc<Bell>>,
    watched: Arc<Watched>,
    parts: Parts,
) {
    while let Some(Some(change)) = parts.stop.run_until_cancelled(changes.recv()).await {
        match change {
            Change::Reloaded(loaded) => {
                reload(&world, &loaded);
                watched.watch_all(&world, &parts);
                reload_secrets(&world, bell.as_deref());
            }
            Change::Refused(mistakes) => {
                world.metrics.config_changed(ConfigChange::Refused);
                tracing::error!(
                    "the changed config is refused and the old one stays in force:\n{mistakes}"
                );
            }
            Change::SecretsChanged(files) => {
                tracing::info!(?files, "secret files have changed");
                reload_secrets(&world, bell.as_deref());
                let setup = world.setup();
                ring_all(&setup);
                let key = &setup.config.store.secret_key_file;
                if key.as_ref().is_some_and(|key| files.contains(key)) {
                    try_again_everywhere(&world, &setup);
                }
            }
            Change::SshFilesChanged(files) => {
                tracing::info!(
                    ?files,
                    "files that the config names have changed; they count from now on"
                );
                let before = world.setup();
                if let Err(error) = world.set_up_again() {
                    tracing::error!(error = words(&error), "the files as they were stay in use");
                }
                ring_all(&before);
                for host in world.setup().config.hosts.keys() {
                    world.waker.wake(host);
                }
            }
        }
    }
}

fn reload(world: &Arc<World>, loaded: &Loaded) {
    let before = world.setup();
    let after = &loaded.config;
    if let Err(error) = world.take_up(Arc::clone(after)) {
        world.metrics.config_changed(ConfigChange::Refused);
        tracing::error!(
            error = words(&error),
            "the changed config cannot be used and the old one stays in force"
        );
        return;
    }
    world.metrics.config_changed(ConfigChange::Reloaded);
    let needs_restart = before
        .config
        .webhook
        .as_ref()
        .map(|webhook| (webhook.listen, &webhook.path, webhook.body_limit))
        != after
            .webhook
            .as_ref()
            .map(|webhook| (webhook.listen, &webhook.path, webhook.body_limit))
        || before.config.operator_listen != after.operator_listen
        || before.config.control_socket != after.control_socket
        || before.config.state_directory != after.state_directory
        || before.config.log != after.log;
    if needs_restart {
        tracing::warn!("changed listeners, log and state directory count from the next start");
    }
    let changed = before.config.changed_hosts(after);
    for host in &changed {
        if after.hosts.contains_key(host) {
            // A change of the config is a reason to try again what failed.
            world.forgive(host);
            world.waker.wake(host);
        } else {
            world.waker.forget(host);
            world.metrics.forget_host(host);
        }
    }
    ring_all(&before);
    tracing::info!(changed_hosts = ?changed, "the changed config is taken up");
}

fn reload_secrets(world: &World, bell: Option<&Bell>) {
    let setup = world.setup();
    let (Some(bell), Some(webhook)) = (bell, &setup.config.webhook) else {
        return;
    };
    match load_secrets(webhook) {
        Ok(secrets) => bell.take_up_secrets(secrets),
        Err(error) => {
            tracing::error!(
                error = words(&error),
                "the old webhook secrets stay in force"
            );
        }
    }
}

/// A key that signs is on the way to every host: a reason to try again what failed.
fn try_again_everywhere(world: &World, setup: &Setup) {
    for host in setup.config.hosts.keys() {
        world.forgive(host);
        world.waker.wake(host);
    }
}

/// Has every repository looked at. After a change of the setup it is the setup before that is to be
/// rung: whoever watches waits for a bell of that one, and goes on with the new one.
fn ring_all(setup: &Setup) {
    for repository in setup.repositories.values() {
        repository.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::world;

    #[tokio::test]
    async fn another_key_that_signs_is_a_reason_to_try_again_and_another_webhook_secret_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let tables = "[hosts.cyt-pi]\n\
                      [webhook]\nlisten = \"127.0.0.1:0\"\nsecret_files = [\"secret\"]\n\
                      [store]\nsecret_key_file = \"store-key\"";
        let world = world(folder.path(), tables).await;
        for (changed, is_tried_again) in [("secret", false), ("store-key", true)] {
            let (sender, changes) = tokio::sync::mpsc::channel(1);
            let files = vec![folder.path().join(changed)];
            sender.send(Change::SecretsChanged(files)).await.unwrap();
            drop(sender);
            let (parts, _ended) = Parts::new();
            take_up_changes(changes, Arc::clone(&world), None, Arc::default(), parts).await;
            let host = "cyt-pi".parse().unwrap();
            assert_eq!(world.take_forgiveness(&host), is_tried_again, "{changed}");
        }
    }
}
