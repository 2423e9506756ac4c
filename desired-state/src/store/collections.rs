//! The last garbage collection of each store of Nix.

use super::bounds::{self, cut};
use super::row::{Row, Table, microseconds, unreadable};
use super::turn::Write;
use super::{Store, StoreError};
use crate::records::{Collection, CollectionResult, NixStore};

/// Every column of a collection, in the order in which they are written.
macro_rules! columns {
    () => {
        "store, began_at, ended_at, result, freed, detail"
    };
}

/// Where collections are: a host's under its name.
pub(super) const COLLECTIONS: Table = Table {
    name: "collections",
    key: "store",
    columns: columns!(),
};

/// How the table calls the controller's store: no host has this name.
const CONTROLLER: &str = "";

impl Store {
    /// Records how the garbage collection of a store ended, in place of the one before.
    ///
    /// # Errors
    ///
    /// When it could not be recorded.
    pub async fn record_collection(
        &self,
        of: &NixStore,
        collection: &Collection,
    ) -> Result<(), StoreError> {
        let mut write = self.connections.write("record a collection").await?;
        replace(&mut write, key(of), collection).await?;
        write.commit().await
    }

    /// The last garbage collection of a store that was recorded.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn last_collection(&self, of: &NixStore) -> Result<Option<Collection>, StoreError> {
        let query = concat!("SELECT ", columns!(), " FROM collections WHERE store = $1");
        let query = sqlx::query(query).bind(key(of));
        self.connections
            .one("read a collection", query, collection)
            .await
    }
}

fn key(of: &NixStore) -> &str {
    match of {
        NixStore::Controller => CONTROLLER,
        NixStore::Host(host) => host.as_str(),
    }
}

/// Records a collection as a part of a larger change.
pub(super) async fn replace(
    write: &mut Write<'_>,
    key: &str,
    collection: &Collection,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO collections (store, began_at, ended_at, result, freed, detail) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (store) DO UPDATE SET \
         began_at = excluded.began_at, ended_at = excluded.ended_at, \
         result = excluded.result, freed = excluded.freed, detail = excluded.detail",
    )
    .bind(key)
    .bind(microseconds(collection.began_at))
    .bind(microseconds(collection.ended_at))
    .bind(collection.result.label())
    .bind(i64::try_from(collection.freed).unwrap_or(i64::MAX))
    .bind(cut(&collection.detail, bounds::DETAIL).into_owned());
    write.execute(query).await.map(drop)
}

pub(super) fn collection(row: Row<'_>) -> Result<Collection, StoreError> {
    let result = match row.text("result")?.as_str() {
        "done" => CollectionResult::Done,
        "failed" => CollectionResult::Failed,
        other => return Err(unreadable("result", &other)),
    };
    let freed = u64::try_from(row.integer("freed")?);
    Ok(Collection {
        began_at: row.time("began_at")?,
        ended_at: row.time("ended_at")?,
        result,
        freed: freed.map_err(|error| unreadable("freed", &error))?,
        detail: row.text("detail")?,
    })
}
