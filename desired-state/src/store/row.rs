//! Reading a row back into checked values.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite};

use super::error::StoreError;

/// A table that has one row a host at most, as a part of a joined row.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// The column that says which host; never NULL.
    pub(super) key: &'static str,
    /// All columns, with commas between them.
    pub(super) columns: &'static str,
}

/// A row that was read. What does not parse was written by somebody else, and is an error, never a panic.
#[derive(Clone, Copy)]
pub(super) struct Row<'r> {
    row: &'r SqliteRow,
    /// The table of a joined row, whose columns are called `table.column`.
    table: Option<&'static str>,
}

impl<'r> Row<'r> {
    /// A row whose columns are called by their names alone.
    pub(super) fn new(row: &'r SqliteRow) -> Self {
        Self { row, table: None }
    }

    /// The part of a joined row that is of this table; `None` if the table has no row for it.
    pub(super) fn part(self, of: &Table) -> Result<Option<Self>, StoreError> {
        let part = Self {
            table: Some(of.name),
            ..self
        };
        Ok(part.optional_text(of.key)?.map(|_| part))
    }

    /// A whole number.
    pub(super) fn integer(&self, column: &'static str) -> Result<i64, StoreError> {
        self.value(column)
    }

    /// A text.
    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.value(column)
    }

    /// A text that may be absent.
    pub(super) fn optional_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        self.value(column)
    }

    /// A checked name.
    pub(super) fn name<N>(&self, column: &'static str) -> Result<N, StoreError>
    where
        N: TryFrom<String, Error = crate::Invalid>,
    {
        N::try_from(self.text(column)?).map_err(|error| unreadable(column, &error))
    }

    /// A checked name that may be absent.
    pub(super) fn optional_name<N>(&self, column: &'static str) -> Result<Option<N>, StoreError>
    where
        N: TryFrom<String, Error = crate::Invalid>,
    {
        self.optional_text(column)?
            .map(|text| N::try_from(text).map_err(|error| unreadable(column, &error)))
            .transpose()
    }

    /// A time.
    pub(super) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        timestamp(column, self.integer(column)?)
    }

    /// A time that may be absent.
    pub(super) fn optional_time(
        &self,
        column: &'static str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let microseconds: Option<i64> = self.value(column)?;
        microseconds
            .map(|microseconds| timestamp(column, microseconds))
            .transpose()
    }

    fn value<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: sqlx::Type<Sqlite> + sqlx::Decode<'r, Sqlite>,
    {
        let value = match self.table {
            None => self.row.try_get(column),
            Some(table) => self.row.try_get(&*format!("{table}.{column}")),
        };
        value.map_err(|error| unreadable(column, &error))
    }
}

/// A time as the store keeps it.
pub(super) fn microseconds(time: Timestamp) -> i64 {
    time.as_microsecond()
}

fn timestamp(column: &'static str, microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|error| unreadable(column, &error))
}

/// Says that a column holds what the store does not write.
pub(super) fn unreadable(column: &'static str, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable {
        column,
        why: why.to_string(),
    }
}
