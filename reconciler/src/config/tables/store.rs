//! The tables `[store]`, of this machine's store of Nix, and `[defaults.store]` and `[hosts.NAME.store]`, of the hosts':
//! when their garbage is collected, and what is kept; and the key that signs what is copied.

use std::time::Duration;

use planning::model::spec::CareConfig;

use crate::config::model::StoreConfig;
use crate::config::reader::values::{Given, SECOND, count, duration, text};
use crate::config::reader::{PathRole, Problem, Section, bytes};

/// Whoever keeps more by number than by age means the age.
const MOST_PROVEN: u32 = 100;
/// Nothing that is an hour old is old.
const SHORTEST: Duration = Duration::from_secs(60 * 60);

/// Reads the table of this machine's store.
pub(super) fn store(mut table: Section<'_>) -> StoreConfig {
    let store = StoreConfig {
        care: keys(&mut table, &CareConfig::built_in()),
        secret_key_file: table.path_at("secret_key_file", PathRole::StoreKey),
    };
    table.finish();
    store
}

/// Reads the table of a host, or of all hosts; what it does not say is taken from `fallback`.
pub(super) fn care(mut table: Section<'_>, fallback: &CareConfig) -> CareConfig {
    let care = keys(&mut table, fallback);
    table.finish();
    care
}

/// The keys that both have.
fn keys(table: &mut Section<'_>, fallback: &CareConfig) -> CareConfig {
    CareConfig {
        collect_every: table.or("collect_every", period_or_off, fallback.collect_every),
        collect_when_free_below: table.or(
            "collect_when_free_below",
            bytes,
            fallback.collect_when_free_below,
        ),
        keep_for: table.or("keep_for", duration(SHORTEST), fallback.keep_for),
        keep_proven: table.or("keep_proven", count(1..=MOST_PROVEN), fallback.keep_proven),
        timeout: table.or("timeout", duration(SECOND), fallback.timeout),
    }
}

/// A duration of at least an hour, or `off`.
fn period_or_off(given: Given<'_>) -> Result<Option<Duration>, Problem> {
    match text(given).as_deref() {
        Ok("off") => Ok(None),
        _ => duration(SHORTEST)(given)
            .map(Some)
            .map_err(|problem| problem.or("\"off\" for never")),
    }
}
