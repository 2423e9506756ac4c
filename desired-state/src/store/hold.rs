//! Pins and suspensions. Each change is an entry of the history, in the same transaction.

use jiff::Timestamp;

use super::bounds::{self, cut, whole};
use super::connection::Write;
use super::history::insert;
use super::row::{Row, Table, microseconds};
use super::{Store, StoreError};
use crate::{BranchName, HistoryEntry, HostName, Pin, Suspension};

/// Every column of a pin, in the order in which they are written.
macro_rules! pin_columns {
    () => {
        "host, revision, action, branch, pinned_by, since"
    };
}

/// Every column of a suspension, in the order in which they are written.
macro_rules! suspension_columns {
    () => {
        "host, why, suspended_by, since"
    };
}

/// Where pins are.
pub(super) const PINS: Table = Table {
    name: "pins",
    key: "host",
    columns: pin_columns!(),
};

/// Where suspensions are.
pub(super) const SUSPENSIONS: Table = Table {
    name: "suspensions",
    key: "host",
    columns: suspension_columns!(),
};

impl Store {
    /// Holds each host at a revision, or none of them; an earlier pin of a host is replaced. Appends an entry of kind
    /// `pin` for each.
    ///
    /// # Errors
    ///
    /// When they could not be recorded, or an action's name is longer than 64 bytes.
    pub async fn pin_all(&self, pins: &[Pin]) -> Result<(), StoreError> {
        if pins.is_empty() {
            return Ok(());
        }
        let mut write = self.connections.write("record pins").await?;
        for pin in pins {
            record(&mut write, pin).await?;
        }
        write.commit().await
    }

    /// Lets a host follow its branch again; returns the pin that it had. Appends an entry of kind `unpin` if it had one.
    ///
    /// # Errors
    ///
    /// When it could not be recorded.
    pub async fn unpin(
        &self,
        host: &HostName,
        by: &str,
        at: Timestamp,
    ) -> Result<Option<Pin>, StoreError> {
        let mut write = self.connections.write("take a pin away").await?;
        let query = concat!(
            "DELETE FROM pins WHERE host = $1 RETURNING ",
            pin_columns!()
        );
        let query = sqlx::query(query).bind(host.as_str());
        let old = write.one(query, pin).await?;
        if let Some(old) = &old {
            let entry = HistoryEntry {
                revision: Some(old.revision.clone()),
                detail: format!("no longer held at {}", old.revision.short()),
                started_at: Some(old.since),
                ..entry(host, "unpin", by, at)
            };
            insert(&mut write, &entry).await?;
        }
        write.commit().await?;
        Ok(old)
    }

    /// The pin of a host.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn pinned(&self, host: &HostName) -> Result<Option<Pin>, StoreError> {
        let query = concat!("SELECT ", pin_columns!(), " FROM pins WHERE host = $1");
        let query = sqlx::query(query).bind(host.as_str());
        self.connections.one("read a pin", query, pin).await
    }

    /// All pins, by host.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        let query = concat!("SELECT ", pin_columns!(), " FROM pins ORDER BY host");
        let query = sqlx::query(query);
        self.connections.all("read the pins", query, pin).await
    }

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
            ..entry(
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
            suspension_columns!()
        );
        let query = sqlx::query(query).bind(host.as_str());
        let old = write.one(query, suspension).await?;
        if let Some(old) = &old {
            let entry = HistoryEntry {
                detail: why.to_owned(),
                started_at: Some(old.since),
                ..entry(host, "resume", by, at)
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
        let query = concat!(
            "SELECT ",
            suspension_columns!(),
            " FROM suspensions WHERE host = $1"
        );
        let query = sqlx::query(query).bind(host.as_str());
        self.connections
            .one("read a suspension", query, suspension)
            .await
    }

    /// All suspensions, by host.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn suspensions(&self) -> Result<Vec<Suspension>, StoreError> {
        let query = concat!(
            "SELECT ",
            suspension_columns!(),
            " FROM suspensions ORDER BY host"
        );
        self.connections
            .all("read the suspensions", sqlx::query(query), suspension)
            .await
    }
}

async fn record(write: &mut Write<'_>, pin: &Pin) -> Result<(), StoreError> {
    let action = whole("action", &pin.action, bounds::WORD)?;
    let query = sqlx::query(
        "INSERT INTO pins (host, revision, action, branch, pinned_by, since) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (host) DO UPDATE SET \
         revision = excluded.revision, action = excluded.action, branch = excluded.branch, \
         pinned_by = excluded.pinned_by, since = excluded.since",
    )
    .bind(pin.host.as_str())
    .bind(pin.revision.as_str())
    .bind(action)
    .bind(pin.branch.as_ref().map(BranchName::as_str))
    .bind(cut(&pin.by, bounds::NAME).into_owned())
    .bind(microseconds(pin.since));
    write.execute(query).await?;
    let mut detail = format!("held at {}", pin.revision.short());
    if let Some(branch) = &pin.branch {
        detail.push_str(&format!(" of {branch}"));
    }
    let entry = HistoryEntry {
        revision: Some(pin.revision.clone()),
        action: Some(pin.action.clone()),
        detail,
        ..entry(&pin.host, "pin", &pin.by, pin.since)
    };
    insert(write, &entry).await.map(drop)
}

/// What the history says of everything that a person does to a host.
fn entry(host: &HostName, kind: &str, by: &str, at: Timestamp) -> HistoryEntry {
    HistoryEntry {
        host: Some(host.clone()),
        cause: Some(format!("person {by}")),
        ..HistoryEntry::new(at, kind)
    }
}

pub(super) fn pin(row: Row<'_>) -> Result<Pin, StoreError> {
    Ok(Pin {
        host: row.name("host")?,
        revision: row.name("revision")?,
        action: row.text("action")?,
        branch: row.optional_name("branch")?,
        by: row.text("pinned_by")?,
        since: row.time("since")?,
    })
}

pub(super) fn suspension(row: Row<'_>) -> Result<Suspension, StoreError> {
    Ok(Suspension {
        host: row.name("host")?,
        why: row.text("why")?,
        by: row.text("suspended_by")?,
        since: row.time("since")?,
    })
}
