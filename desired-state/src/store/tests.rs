//! Tests on a real database file.

mod collections;
mod deliveries;
mod deployments;
mod durability;
mod history;
mod host_record;
mod inline;
mod opening;
mod pins;
mod prune;
mod record;
mod suspensions;
mod unannounced;
mod wishes;

use jiff::Timestamp;
use tempfile::TempDir;

use super::Store;
use crate::names::{BranchName, DeliveryId, HostName, RepositoryName, Revision};
use crate::records::{HistoryFilter, ReceivedDelivery};

/// A store in a folder of its own, which goes with it.
struct Fresh {
    store: Store,
    folder: TempDir,
}

impl Fresh {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).await.unwrap();
        Self { store, folder }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("state.db")
    }

    /// The same database, as after a restart.
    async fn reopened(self) -> Self {
        self.store.close().await;
        let store = Store::open(&self.path()).await.unwrap();
        Self { store, ..self }
    }
}

impl std::ops::Deref for Fresh {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// So many seconds after some day.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn infra() -> RepositoryName {
    "infra-team/infra".parse().unwrap()
}

fn main_branch() -> BranchName {
    "main".parse().unwrap()
}

/// The revision whose digits are all this one.
fn revision(digit: char) -> Revision {
    digit.to_string().repeat(40).parse().unwrap()
}

fn delivery(id: &str, seconds: i64) -> ReceivedDelivery {
    ReceivedDelivery {
        id: id.parse::<DeliveryId>().unwrap(),
        event: "push".to_owned(),
        repository: "infra-team/infra".to_owned(),
        branch: Some("main".to_owned()),
        received_at: at(seconds),
    }
}

async fn remember(store: &Store, name: &str, document: &str) {
    let documents = [(host(name), document.to_owned())];
    store.record_documents(&documents).await.unwrap();
}

async fn remembered(store: &Store, name: &str) -> Option<String> {
    store.host_record(&host(name)).await.unwrap().document
}

/// The kinds of the history, oldest first.
async fn kinds(store: &Store) -> Vec<String> {
    let entries = store.history(&HistoryFilter::default()).await.unwrap();
    entries.into_iter().rev().map(|entry| entry.kind).collect()
}
