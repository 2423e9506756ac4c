//! What is stored of one host, read once and whole.

use std::time::Duration;

use desired_state::{
    Collection, Deployment, HostName, HostRecord, Pin, StoreError, Suspension, Wish,
};
use planning::model::host_state::StoredState;
use planning::model::spec::HostConfig;
use planning::status::Known;

use crate::context::Context;

/// Between two times that it is written down when quiet hosts were seen: a crash loses no more than that.
pub const BETWEEN_WRITES: Duration = Duration::from_secs(30);

/// All that is stored of one host.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What is remembered of it.
    pub remembered: StoredState,
    /// What is on disk of that.
    pub on_disk: StoredState,
    /// What its branch asks for.
    pub wish: Option<Wish>,
    /// What a person holds it at.
    pub pin: Option<Pin>,
    /// Why a person has suspended it.
    pub suspension: Option<Suspension>,
    /// The deployment that is under way there.
    pub in_flight: Option<Deployment>,
    /// The last collection of its garbage.
    pub last_collection: Option<Collection>,
}

impl Stored {
    /// Reads all of it, in one turn.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn load(context: &Context, host: &HostName) -> Result<Self, StoreError> {
        let record = context.store.host_record(host).await?;
        let newer = context.registries.last_seen.of(host);
        Ok(Self::of(host, record, newer))
    }

    fn of(host: &HostName, record: HostRecord, newer: Option<StoredState>) -> Self {
        let read = |document: &str| {
            StoredState::read(document).unwrap_or_else(|error| {
                tracing::error!(%host, %error, "what is remembered of the host is damaged; it is kept as it is, and the host is left alone");
                StoredState::damaged(document)
            })
        };
        let on_disk = record.document.as_deref().map(read).unwrap_or_default();
        Self {
            remembered: newer.unwrap_or_else(|| on_disk.clone()),
            on_disk,
            wish: record.wish,
            pin: record.pin,
            suspension: record.suspension,
            in_flight: record.in_flight,
            last_collection: record.last_collection,
        }
    }

    /// What is to be shown of it.
    pub fn known<'a>(&'a self, host: &'a HostName, config: &'a HostConfig) -> Known<'a> {
        Known {
            host,
            config,
            state: &self.remembered.state,
            wish: self.wish.as_ref(),
            pin: self.pin.as_ref(),
            suspension: self.suspension.as_ref(),
            last_collection: self.last_collection.as_ref(),
        }
    }
}

/// What is remembered of a host.
///
/// # Errors
/// When the state cannot be read.
pub async fn remembered(context: &Context, host: &HostName) -> Result<StoredState, StoreError> {
    Ok(Stored::load(context, host).await?.remembered)
}

/// Writes down when quiet hosts were last seen.
///
/// # Errors
/// When the state cannot be written; then it is still to be written down.
pub async fn write_last_seen(context: &Context) -> Result<(), StoreError> {
    let last_seen = &context.registries.last_seen;
    let _alone = last_seen.writing.write().await;
    let states = last_seen.all();
    if states.is_empty() {
        return Ok(());
    }
    let document = |(host, state): &(HostName, StoredState)| (host.clone(), state.document());
    let documents: Vec<_> = states.iter().map(document).collect();
    context.store.record_documents(&documents).await?;
    last_seen.written(&states);
    Ok(())
}

#[cfg(test)]
mod tests;
