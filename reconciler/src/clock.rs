//! The wall clock, read in one place.

use jiff::Timestamp;

/// What the time is, in UTC.
///
/// Deciding code takes the time as an argument; only the loop and the operator's surface call this.
pub fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    Timestamp::now()
}
