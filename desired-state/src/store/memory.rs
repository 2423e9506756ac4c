//! The reconciler's own document for each host, which the store keeps without reading it.

use super::bounds::{self, whole};
use super::history::insert;
use super::row::{Row, Table};
use super::turn::Write;
use super::{Store, StoreError};
use crate::names::HostName;
use crate::records::HistoryEntry;

/// Where the documents are.
pub(super) const DOCUMENTS: Table = Table {
    name: "host_memories",
    key: "host",
    columns: "host, document",
};

impl Store {
    /// The document that was remembered for a host last.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn memory(&self, host: &HostName) -> Result<Option<String>, StoreError> {
        let query = sqlx::query("SELECT document FROM host_memories WHERE host = $1");
        self.connections
            .one("read a host's memory", query.bind(host.as_str()), document)
            .await
    }

    /// Remembers a document for a host, in place of the one before.
    ///
    /// # Errors
    ///
    /// When it could not be recorded, or is longer than 1 MiB.
    pub async fn remember(&self, host: &HostName, document: &str) -> Result<(), StoreError> {
        let mut write = self.connections.write("remember for a host").await?;
        replace(&mut write, host, document).await?;
        write.commit().await
    }

    /// Remembers a document for each of several hosts, all or none: what was seen of many hosts is one write to the
    /// disk.
    ///
    /// # Errors
    ///
    /// As [`Store::remember`].
    pub async fn record_documents(
        &self,
        documents: &[(HostName, String)],
    ) -> Result<(), StoreError> {
        if documents.is_empty() {
            return Ok(());
        }
        let mut write = self.connections.write("remember for several hosts").await?;
        for (host, document) in documents {
            replace(&mut write, host, document).await?;
        }
        write.commit().await
    }

    /// Appends an entry to the history and remembers what follows from it for a host, both or neither.
    ///
    /// # Errors
    ///
    /// As [`Store::remember`].
    pub async fn append_and_remember(
        &self,
        entry: &HistoryEntry,
        host: &HostName,
        document: &str,
    ) -> Result<(), StoreError> {
        let mut write = self.connections.write("record an attempt").await?;
        insert(&mut write, entry).await?;
        replace(&mut write, host, document).await?;
        write.commit().await
    }
}

pub(super) fn document(row: Row<'_>) -> Result<String, StoreError> {
    row.text("document")
}

/// Remembers a document as a part of a larger change.
pub(super) async fn replace(
    write: &mut Write<'_>,
    host: &HostName,
    document: &str,
) -> Result<(), StoreError> {
    let document = whole("memory document", document, bounds::DOCUMENT)?;
    let query = sqlx::query(
        "INSERT INTO host_memories (host, document) VALUES ($1, $2) \
         ON CONFLICT (host) DO UPDATE SET document = excluded.document",
    )
    .bind(host.as_str())
    .bind(document);
    write.execute(query).await.map(drop)
}
