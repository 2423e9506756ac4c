//! Reading a row back into checked values.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::StoreError;

/// A row that was read. What does not parse was written by somebody else, and is an error, never a panic.
pub(super) struct Row(pub(super) SqliteRow);

impl Row {
    /// A whole number.
    pub(super) fn integer(&self, column: &'static str) -> Result<i64, StoreError> {
        self.0
            .try_get(column)
            .map_err(|error| unreadable(column, &error))
    }

    /// A text.
    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.0
            .try_get(column)
            .map_err(|error| unreadable(column, &error))
    }

    /// A text that may be absent.
    pub(super) fn optional_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        self.0
            .try_get(column)
            .map_err(|error| unreadable(column, &error))
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
        let microseconds: Option<i64> = self
            .0
            .try_get(column)
            .map_err(|error| unreadable(column, &error))?;
        microseconds
            .map(|microseconds| timestamp(column, microseconds))
            .transpose()
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
