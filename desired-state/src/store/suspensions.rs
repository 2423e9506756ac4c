//! Suspensions. Each change is an entry of the history, in the same transaction.

use jiff::Timestamp;

use super::bounds::{self, cut};
use super::history::{by_person, insert};
use super::row::{Row, Table, microseconds};
use super::{Store, StoreError};
use crate::names::HostName;
use crate::records::{HistoryEntry, Suspension};

/// Every column of a suspension, in the order in which they are written.
macro_rules! columns {
    () => {
        "host, why, suspended_by, since"
    };
}

/// Where suspensions are.
pub(super) const SUSPENSIONS: Table = Table {
    name: "suspensions",
    key: "host",
    columns: columns!(),
};

impl Store {
    /// Suspends a host; an earlier suspension of the host is replaced. Appends an entry of kind `suspend`.
    ///
    /// # Errors
    ///
    /// When it could not be recorded.
    pub async fn suspend(&self, suspension: &Suspension) -> Result<(), StoreError> {
        let mut write = self.connections.write("record a suspension").await?;
        let query = sqlx::query(
            "INSERT INTO suspensions (host, why, suspended_by, since) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (host) DO UPDATE SET why = excluded.why, \
             suspended_by = excluded.suspended_by, since = excluded.since",
        )
        .bind(suspension.host.as_str())
        .bind(cut(&suspension.why, bounds::PARAGRAPH).into_owned())
        .bind(cut(&suspension.by, bounds::NAME).into_owned())
        .bind(microseconds(suspension.since));
        write.execute(query).await?;
        let entry = HistoryEntry {
            detail: suspension.why.clone(),
            ..by_person(
                &suspension.host,
                "suspend",
                &suspension.by,
                suspension.since,
            )
        };
        insert(&mut write, &entry).await?;
        write.commit().await
    }

    /// Ends a host's suspension; returns the one that it had. Appends an entry of kind `resume` if it had one.
    ///
    /// # Errors
    ///
    /// When it could not be recorded.
    pub async fn resume(
        &self,
        host: &HostName,
        by: &str,
        why: &str,
        at: Timestamp,
    ) -> Result<Option<Suspension>, StoreError> {
        let mut write = self.connections.write("end a suspension").await?;
        let query = concat!(
            "DELETE FROM suspensions WHERE host = $1 RETURNING ",
            columns!()
        );
        let query = sqlx::query(query).bind(host.as_str());
        let old = write.one(query, suspension).await?;
        if let Some(old) = &old {
            let entry = HistoryEntry {
                detail: why.to_owned(),
                started_at: Some(old.since),
                ..by_person(host, "resume", by, at)
            };
            insert(&mut write, &entry).await?;
        }
        write.commit().await?;
        Ok(old)
    }

    /// The suspension of a host.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn suspended(&self, host: &HostName) -> Result<Option<Suspension>, StoreError> {
        let query = concat!("SELECT ", columns!(), " FROM suspensions WHERE host = $1");
        let query = sqlx::query(query).bind(host.as_str());
        self.connections
            .one("read a suspension", query, suspension)
            .await
    }
}

pub(super) fn suspension(row: Row<'_>) -> Result<Suspension, StoreError> {
    Ok(Suspension {
        host: row.name("host")?,
        why: row.text("why")?,
        by: row.text("suspended_by")?,
        since: row.time("since")?,
    })
}
