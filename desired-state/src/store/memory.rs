//! The reconciler's own document for each host, which the store keeps without reading it.

use super::bounds::{self, whole};
use super::row::{Row, Table};
use super::turn::Write;
use super::{Store, StoreError};
use crate::names::HostName;

/// Where the documents are.
pub(super) const DOCUMENTS: Table = Table {
    name: "host_memories",
    key: "host",
    columns: "host, document",
};

impl Store {
    /// Remembers a document for each host, in place of the one before, all or none: what was seen of many hosts is one
    /// write to the disk.
    ///
    /// # Errors
    ///
    /// When they could not be recorded, or one is longer than 1 MiB.
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
