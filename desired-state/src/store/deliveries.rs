//! Deliveries: doorbells that must not be lost.

use super::bounds::{self, cut};
use super::row::{Row, microseconds};
use super::{Store, StoreError};
use crate::names::{DeliveryId, RepositoryName};
use crate::records::{Novelty, ReceivedDelivery};

/// How many deliveries one question answers. Who marks these as fetched gets the rest the next time.
const MOST: i64 = 1000;

/// How a delivery without a branch is kept: a part of a primary key cannot be NULL.
const NO_BRANCH: &str = "";

impl Store {
    /// Writes a delivery down; on return it is on disk, and the sender may be told so.
    ///
    /// The same id for the same repository and branch again is [`Novelty::Repeated`], and rings all the same: looking
    /// once more is harmless, and the id is not signed. If the first ring was answered by a fetch already, the
    /// delivery counts as received now.
    ///
    /// Over-long texts are cut rather than refused: such a name is no repository or branch of ours anyway.
    ///
    /// # Errors
    ///
    /// When it could not be recorded; the sender must not be told that it was.
    pub async fn record_delivery(
        &self,
        delivery: &ReceivedDelivery,
    ) -> Result<Novelty, StoreError> {
        let repository = cut(&delivery.repository, bounds::NAME);
        let key = key(&repository);
        let branch = delivery.branch.as_deref().unwrap_or(NO_BRANCH);
        let branch = cut(branch, bounds::LINE);
        let mut write = self.connections.write("record a delivery").await?;
        let query = sqlx::query(
            "SELECT fetched FROM deliveries \
             WHERE id = $1 AND repository_key = $2 AND branch = $3",
        )
        .bind(delivery.id.as_str())
        .bind(&*key)
        .bind(&*branch);
        let seen = write.one(query, |_| Ok(())).await?;
        let query = sqlx::query(
            "INSERT INTO deliveries \
             (id, event, repository, repository_key, branch, received_at, fetched) \
             VALUES ($1, $2, $3, $4, $5, $6, 0) \
             ON CONFLICT (id, repository_key, branch) DO UPDATE SET \
             received_at = CASE deliveries.fetched WHEN 0 THEN deliveries.received_at \
             ELSE excluded.received_at END, fetched = 0",
        )
        .bind(delivery.id.as_str())
        .bind(cut(&delivery.event, bounds::WORD).into_owned())
        .bind(&*repository)
        .bind(&*key)
        .bind(&*branch)
        .bind(microseconds(delivery.received_at));
        write.execute(query).await?;
        write.commit().await?;
        Ok(match seen {
            Some(_) => Novelty::Repeated,
            None => Novelty::First,
        })
    }

    /// The deliveries of a repository that no fetch has answered yet, oldest first, at most 1000.
    ///
    /// Ask **before** the fetch, and mark just these after it: a delivery that arrives meanwhile is then fetched for again.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn deliveries_to_fetch(
        &self,
        repository: &RepositoryName,
    ) -> Result<Vec<ReceivedDelivery>, StoreError> {
        let query = sqlx::query(
            "SELECT id, event, repository, branch, received_at FROM deliveries \
             WHERE fetched = 0 AND repository_key = $1 ORDER BY received_at, id LIMIT $2",
        )
        .bind(key(repository.as_str()))
        .bind(MOST);
        self.connections
            .all("read the deliveries", query, delivery)
            .await
    }

    /// Marks deliveries as answered by a fetch. Ids that are unknown are passed over.
    ///
    /// # Errors
    ///
    /// When it could not be recorded; then none is marked, and they are fetched for again.
    pub async fn mark_fetched(
        &self,
        repository: &RepositoryName,
        ids: &[DeliveryId],
    ) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let key = key(repository.as_str());
        let mut write = self.connections.write("mark deliveries as fetched").await?;
        for id in ids {
            let query = "UPDATE deliveries SET fetched = 1 WHERE id = $1 AND repository_key = $2";
            let query = sqlx::query(query).bind(id.as_str()).bind(&*key);
            write.execute(query).await?;
        }
        write.commit().await
    }
}

/// The repository's name without regard to case, as Gitea looks it up.
pub(super) fn key(repository: &str) -> String {
    repository.to_ascii_lowercase()
}

fn delivery(row: Row<'_>) -> Result<ReceivedDelivery, StoreError> {
    Ok(ReceivedDelivery {
        id: row.name("id")?,
        event: row.text("event")?,
        repository: row.text("repository")?,
        branch: Some(row.text("branch")?).filter(|branch| branch != NO_BRANCH),
        received_at: row.time("received_at")?,
    })
}
