//! What polls found and deliveries should have announced: how a webhook that does not work is noticed.

use std::time::Duration;

use jiff::Timestamp;

use super::deliveries::key;
use super::row::{Row, microseconds};
use super::{Store, StoreError};
use crate::names::{BranchName, RepositoryName, Revision};
use crate::records::Unannounced;

impl Store {
    /// Notes that a poll found a branch at a new tip. A tip that was noted before keeps its first time; one whose
    /// delivery is here already, and only waits to be fetched for, is announced and not noted.
    ///
    /// # Errors
    ///
    /// When it could not be recorded.
    pub async fn note_unannounced(
        &self,
        repository: &RepositoryName,
        branch: &BranchName,
        revision: &Revision,
        found_at: Timestamp,
    ) -> Result<(), StoreError> {
        let key = key(repository.as_str());
        let mut write = self.connections.write("note what a poll found").await?;
        let waiting = write
            .one(
                sqlx::query(
                    "SELECT id FROM deliveries \
                     WHERE repository_key = $1 AND branch = $2 AND fetched = 0 LIMIT 1",
                )
                .bind(&*key)
                .bind(branch.as_str()),
                |_| Ok(()),
            )
            .await?;
        if waiting.is_none() {
            write
                .execute(
                    sqlx::query(
                        "INSERT INTO unannounced \
                         (repository, repository_key, branch, revision, found_at) \
                         VALUES ($1, $2, $3, $4, $5) \
                         ON CONFLICT (repository_key, branch, revision) DO NOTHING",
                    )
                    .bind(repository.as_str())
                    .bind(&*key)
                    .bind(branch.as_str())
                    .bind(revision.as_str())
                    .bind(microseconds(found_at)),
                )
                .await?;
        }
        write.commit().await
    }

    /// Returns each noted tip whose delivery did not come, once.
    ///
    /// A delivery for the same repository and branch announces a tip when it was received at most `grace` before or
    /// after the poll found it: such notes are dropped. A note is returned, and dropped, when `grace` has passed at `now`.
    ///
    /// # Errors
    ///
    /// When it could not be recorded; then nothing is dropped.
    pub async fn settle_unannounced(
        &self,
        now: Timestamp,
        grace: Duration,
    ) -> Result<Vec<Unannounced>, StoreError> {
        let grace = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
        let mut write = self.connections.write("settle what polls found").await?;
        // Written as differences: a sum with a large grace would overflow.
        write
            .execute(
                sqlx::query(
                    "DELETE FROM unannounced WHERE EXISTS (SELECT 1 FROM deliveries \
                     WHERE deliveries.repository_key = unannounced.repository_key \
                     AND deliveries.branch = unannounced.branch \
                     AND deliveries.received_at - unannounced.found_at BETWEEN -$1 AND $1)",
                )
                .bind(grace),
            )
            .await?;
        let mut missed = write
            .rows(
                sqlx::query(
                    "DELETE FROM unannounced WHERE $1 - found_at >= $2 \
                     RETURNING repository, branch, revision, found_at",
                )
                .bind(microseconds(now))
                .bind(grace),
                unannounced,
            )
            .await?;
        write.commit().await?;
        missed.sort_by_key(|missed| missed.found_at);
        Ok(missed)
    }
}

fn unannounced(row: Row<'_>) -> Result<Unannounced, StoreError> {
    Ok(Unannounced {
        repository: row.name("repository")?,
        branch: row.name("branch")?,
        revision: row.name("revision")?,
        found_at: row.time("found_at")?,
    })
}
