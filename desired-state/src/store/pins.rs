//! Pins. Each change is an entry of the history, in the same transaction.

use jiff::Timestamp;

use super::bounds::{self, cut, whole};
use super::history::{by_person, insert};
use super::row::{Row, Table, microseconds};
use super::turn::Write;
use super::{Store, StoreError};
use crate::names::{BranchName, HostName};
use crate::records::{HistoryEntry, Pin};

/// Every column of a pin, in the order in which they are written.
macro_rules! columns {
    () => {
        "host, revision, action, branch, pinned_by, since"
    };
}

/// Where pins are.
pub(super) const PINS: Table = Table {
    name: "pins",
    key: "host",
    columns: columns!(),
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
        let query = concat!("DELETE FROM pins WHERE host = $1 RETURNING ", columns!());
        let query = sqlx::query(query).bind(host.as_str());
        let old = write.one(query, pin).await?;
        if let Some(old) = &old {
            let entry = HistoryEntry {
                revision: Some(old.revision.clone()),
                detail: format!("no longer held at {}", old.revision.short()),
                started_at: Some(old.since),
                ..by_person(host, "unpin", by, at)
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
        let query = concat!("SELECT ", columns!(), " FROM pins WHERE host = $1");
        let query = sqlx::query(query).bind(host.as_str());
        self.connections.one("read a pin", query, pin).await
    }

    /// All pins, by host.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        let query = concat!("SELECT ", columns!(), " FROM pins ORDER BY host");
        let query = sqlx::query(query);
        self.connections.all("read the pins", query, pin).await
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
        ..by_person(&pin.host, "pin", &pin.by, pin.since)
    };
    insert(write, &entry).await.map(drop)
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
