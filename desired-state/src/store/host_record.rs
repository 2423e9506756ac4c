//! All that is stored of one host.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use sqlx::AssertSqlSafe;

use super::collections::{COLLECTIONS, collection};
use super::deployments::{DEPLOYMENTS, deployment};
use super::memory::{DOCUMENTS, document};
use super::pins::{PINS, pin};
use super::row::{Row, Table};
use super::suspensions::{SUSPENSIONS, suspension};
use super::wishes::{WISHES, wish};
use super::{Store, StoreError};
use crate::names::HostName;
use crate::records::HostRecord;

/// One statement that joins what each table has of a host: five times as quick as one for each of them, and it sees
/// one state of the database.
static QUERY: LazyLock<Arc<str>> = LazyLock::new(|| {
    let tables = [
        WISHES,
        PINS,
        SUSPENSIONS,
        DEPLOYMENTS,
        DOCUMENTS,
        COLLECTIONS,
    ];
    let (mut columns, mut joins) = (String::from("asked.host"), String::new());
    for Table {
        name,
        key,
        columns: all,
    } in tables
    {
        for column in all.split(", ") {
            let _ = write!(columns, ", {name}.{column} AS \"{name}.{column}\"");
        }
        let _ = write!(joins, " LEFT JOIN {name} ON {name}.{key} = asked.host");
    }
    format!("SELECT {columns} FROM (SELECT CAST($1 AS TEXT) AS host) AS asked{joins}").into()
});

impl Store {
    /// All that is stored of one host, as it was at one instant. One turn of the reader.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn host_record(&self, host: &HostName) -> Result<HostRecord, StoreError> {
        let query = sqlx::query(AssertSqlSafe(Arc::clone(&QUERY))).bind(host.as_str());
        let record = self
            .connections
            .one("read what is known of a host", query, record)
            .await?;
        Ok(record.unwrap_or_default())
    }
}

fn record(row: Row<'_>) -> Result<HostRecord, StoreError> {
    Ok(HostRecord {
        wish: row.part(&WISHES)?.map(wish).transpose()?,
        pin: row.part(&PINS)?.map(pin).transpose()?,
        suspension: row.part(&SUSPENSIONS)?.map(suspension).transpose()?,
        in_flight: row.part(&DEPLOYMENTS)?.map(deployment).transpose()?,
        document: row.part(&DOCUMENTS)?.map(document).transpose()?,
        last_collection: row.part(&COLLECTIONS)?.map(collection).transpose()?,
    })
}
