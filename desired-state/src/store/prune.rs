//! What keeps the database from growing for ever.

use jiff::{SignedDuration, Timestamp};

use super::row::microseconds;
use super::{Store, StoreError};
use crate::records::Pruned;

/// How long deliveries and findings of polls are kept: long enough to see that a webhook stopped last month.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How many deliveries are kept at most: some 3 MiB. Only a flood comes near.
const DELIVERIES: i64 = 10_000;

/// How many history entries are kept for each host, and for no host: more than a year of several deployments a day.
/// Usually some 2 MiB a host, 50 MiB if every entry had the longest detail.
const HISTORY_PER_HOST: i64 = 5_000;

/// How many revisions are remembered for each attribute: an older one is just evaluated again.
const BUILT_PER_ATTRIBUTE: i64 = 200;

impl Store {
    /// Takes away what is too old or too much, in one transaction. Meant to be called about once an hour.
    ///
    /// Kept are: deliveries of the last 30 days, the newest 10 000 of them; for each host the newest 5 000 history
    /// entries, and as many that belong to no host; for each attribute the 200 newest records of what was built.
    /// Wishes, pins, suspensions, memories and deployments in flight are one a host, and always kept.
    ///
    /// A delivery may go before a fetch has answered it: after 30 days, or in a flood. A poll finds what it announced.
    ///
    /// # Errors
    ///
    /// When it could not be recorded; then nothing is taken away.
    pub async fn prune(&self, now: Timestamp) -> Result<Pruned, StoreError> {
        let before = microseconds(now.saturating_sub(KEPT_FOR).unwrap_or(Timestamp::MIN));
        let mut write = self.connections.write("prune").await?;
        let deliveries = write
            .execute(sqlx::query("DELETE FROM deliveries WHERE received_at < $1").bind(before))
            .await?
            + write
                .execute(
                    sqlx::query(
                        "DELETE FROM deliveries WHERE received_at < \
                         (SELECT received_at FROM deliveries \
                         ORDER BY received_at DESC LIMIT 1 OFFSET $1)",
                    )
                    .bind(DELIVERIES - 1),
                )
                .await?;
        write
            .execute(sqlx::query("UPDATE pruning SET may_delete = 1"))
            .await?;
        let history = write
            .execute(
                sqlx::query(
                    "DELETE FROM history WHERE id IN (SELECT id FROM (SELECT id, \
                     ROW_NUMBER() OVER (PARTITION BY host ORDER BY id DESC) AS age \
                     FROM history) AS ranked WHERE age > $1)",
                )
                .bind(HISTORY_PER_HOST),
            )
            .await?;
        write
            .execute(sqlx::query("UPDATE pruning SET may_delete = 0"))
            .await?;
        let built = write
            .execute(
                sqlx::query(
                    "DELETE FROM built WHERE id IN (SELECT id FROM (SELECT id, \
                     ROW_NUMBER() OVER (PARTITION BY repository, attribute ORDER BY id DESC) \
                     AS age FROM built) AS ranked WHERE age > $1)",
                )
                .bind(BUILT_PER_ATTRIBUTE),
            )
            .await?;
        let unannounced = write
            .execute(sqlx::query("DELETE FROM unannounced WHERE found_at < $1").bind(before))
            .await?;
        write.commit().await?;
        Ok(Pruned {
            deliveries,
            history,
            built,
            unannounced,
        })
    }
}
