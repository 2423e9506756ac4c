//! What a pass over a host found out.

use super::{Store, StoreError, collections, deployments, history, memory};
use crate::records::{HistoryEntry, Record};

impl Store {
    /// Records what a pass over a host found out, all or nothing: a crash in between would forget that a deployment
    /// failed. A record that says nothing is not written.
    ///
    /// To record the same end of a deployment again is harmless: all of it was recorded the first time.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotInFlight`] when the deployment that ended never began on this host; or when it could not be
    /// recorded, or the document is longer than 1 MiB.
    pub async fn record(&self, record: &Record) -> Result<(), StoreError> {
        if record.is_empty() {
            return Ok(());
        }
        let mut write = self.connections.write("record a pass").await?;
        if let Some(id) = &record.ended {
            match deployments::take(&mut write, id).await? {
                Some(host) if host == record.host => {}
                Some(_) => return Err(deployments::not_in_flight(id)),
                // The first answer got lost, and the caller asks again.
                None => return write.commit().await,
            }
        }
        if let Some(document) = &record.document {
            memory::replace(&mut write, &record.host, document).await?;
        }
        for entry in entries(record) {
            history::insert(&mut write, &entry).await?;
        }
        if let Some(collection) = &record.collection {
            collections::replace(&mut write, record.host.as_str(), collection).await?;
        }
        write.commit().await
    }
}

/// The entries as they are kept: of the host, and one of them at least of the deployment that ended, for it is by the
/// history that an end is known when it is said again.
fn entries(record: &Record) -> impl Iterator<Item = HistoryEntry> {
    let names = |entry: &HistoryEntry| entry.deployment == record.ended;
    let unnamed = record
        .ended
        .clone()
        .filter(|_| !record.history.iter().any(names));
    record.history.iter().map(move |entry| HistoryEntry {
        host: Some(record.host.clone()),
        deployment: entry.deployment.clone().or_else(|| unnamed.clone()),
        ..entry.clone()
    })
}
