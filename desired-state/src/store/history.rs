//! The history: what happened, in order. There is no statement that changes an entry.

use jiff::Timestamp;
use sqlx::QueryBuilder;

use super::bounds::{self, cut};
use super::row::{Row, microseconds, unreadable};
use super::turn::Write;
use super::{Store, StoreError};
use crate::names::{HostName, Revision};
use crate::records::{HistoryEntry, HistoryFilter};

impl Store {
    /// Appends an entry; returns its id. Texts that are too long are cut.
    ///
    /// # Errors
    ///
    /// When it could not be recorded.
    pub async fn append(&self, entry: &HistoryEntry) -> Result<i64, StoreError> {
        let mut write = self.connections.write("append to the history").await?;
        let id = insert(&mut write, entry).await?;
        write.commit().await?;
        Ok(id)
    }

    /// The newest entries that pass the filter, newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn history(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut query = QueryBuilder::new(
            "SELECT id, at, host, kind, revision, toplevel, action, outcome, detail, cause, \
             deployment, started_at FROM history WHERE 1 = 1",
        );
        if let Some(host) = &filter.host {
            query.push(" AND host = ").push_bind(host.as_str());
        }
        if let Some(kind) = &filter.kind {
            query.push(" AND kind = ").push_bind(kind.as_str());
        }
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(i64::from(filter.limit.clamp(1, HistoryFilter::MOST)));
        let query = query.build();
        self.connections.all("read the history", query, entry).await
    }

    /// The hosts to which deployments of a commit have ended in one of these ways, in order.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn hosts_that_ended(
        &self,
        revision: &Revision,
        outcomes: &[&str],
    ) -> Result<Vec<HostName>, StoreError> {
        let mut query = QueryBuilder::new(
            "SELECT DISTINCT host FROM history WHERE kind = 'deployment' AND host IS NOT NULL \
             AND revision = ",
        );
        query.push_bind(revision.as_str()).push(" AND outcome IN (");
        let mut list = query.separated(", ");
        for outcome in outcomes {
            list.push_bind(*outcome);
        }
        query.push(") ORDER BY host");
        let host = |row: Row<'_>| row.name("host");
        self.connections
            .all("read the history", query.build(), host)
            .await
    }
}

/// What the history says of everything that a person does to a host.
pub(super) fn by_person(host: &HostName, kind: &str, by: &str, at: Timestamp) -> HistoryEntry {
    HistoryEntry {
        host: Some(host.clone()),
        cause: Some(format!("person {by}")),
        ..HistoryEntry::new(at, kind)
    }
}

/// Appends an entry as a part of a larger change; returns its id.
pub(super) async fn insert(write: &mut Write<'_>, entry: &HistoryEntry) -> Result<i64, StoreError> {
    let line =
        |text: &Option<String>, limit| text.as_deref().map(|text| cut(text, limit).into_owned());
    let id = write
        .one(
            sqlx::query(
                "INSERT INTO history (at, host, kind, revision, toplevel, action, outcome, \
                 detail, cause, deployment, started_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
            )
            .bind(microseconds(entry.at))
            .bind(entry.host.as_ref().map(HostName::as_str))
            .bind(&*cut(&entry.kind, bounds::WORD))
            .bind(entry.revision.as_ref().map(Revision::as_str))
            .bind(line(&entry.toplevel, bounds::LINE))
            .bind(line(&entry.action, bounds::WORD))
            .bind(line(&entry.outcome, bounds::WORD))
            .bind(&*cut(&entry.detail, bounds::DETAIL))
            .bind(line(&entry.cause, bounds::LINE))
            .bind(line(&entry.deployment, bounds::WORD))
            .bind(entry.started_at.map(microseconds)),
            |row| row.integer("id"),
        )
        .await?;
    id.ok_or_else(|| unreadable("id", &"the database gave the new entry no id"))
}

fn entry(row: Row<'_>) -> Result<HistoryEntry, StoreError> {
    Ok(HistoryEntry {
        id: row.integer("id")?,
        at: row.time("at")?,
        host: row.optional_name("host")?,
        kind: row.text("kind")?,
        revision: row.optional_name("revision")?,
        toplevel: row.optional_text("toplevel")?,
        action: row.optional_text("action")?,
        outcome: row.optional_text("outcome")?,
        detail: row.text("detail")?,
        cause: row.optional_text("cause")?,
        deployment: row.optional_text("deployment")?,
        started_at: row.optional_time("started_at")?,
    })
}
