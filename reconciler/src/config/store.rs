//! The tables `[store]`, of this machine's store of Nix, and `[defaults.store]` and `[hosts.NAME.store]`, of the hosts':
//! when their garbage is collected, and what is kept; and the key that signs what is copied.

use std::path::PathBuf;
use std::time::Duration;

use super::bytes::bytes;
use super::complaint::Complaint;
use super::named::PathRole;
use super::parse::SECOND;
use super::section::Section;
use super::values::{Given, count, duration, text};

/// Table `[store]`.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreConfig {
    /// When this machine's garbage is collected, and what is kept.
    pub care: CareConfig,
    /// The key that signs what is copied to hosts; nothing is signed without one.
    pub secret_key_file: Option<PathBuf>,
}

/// When the garbage of a store is collected, and what is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct CareConfig {
    /// How often; `None` for never by the clock.
    pub collect_every: Option<Duration>,
    /// Also when less than this is free, in bytes; 0 for never.
    pub collect_when_free_below: u64,
    /// What is younger is kept: builds here, generations of the system profile on a host.
    pub keep_for: Duration,
    /// So many systems that have proven themselves are kept for each host, whatever their age.
    pub keep_proven: usize,
    /// How long one collection may take.
    pub timeout: Duration,
}

/// Whoever keeps more by number than by age means the age.
const MOST_PROVEN: u32 = 100;
/// Nothing that is an hour old is old.
const SHORTEST: Duration = Duration::from_secs(60 * 60);
/// A month of systems to go back to.
const KEEP_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Deleting some hundred thousand files takes minutes, on an SD card tens of them.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

impl CareConfig {
    /// What holds where nobody says anything. Nothing is collected then: the store is that of everybody on
    /// the machine, and what its owner has built and not rooted would be gone.
    pub fn built_in() -> Self {
        Self {
            collect_every: None,
            collect_when_free_below: 0,
            keep_for: KEEP_FOR,
            keep_proven: 3,
            timeout: TIMEOUT,
        }
    }

    /// Whether the garbage is ever collected.
    pub fn is_on(&self) -> bool {
        self.collect_every.is_some() || self.collect_when_free_below > 0
    }

    /// Reads the keys of `table`; what it does not say is taken from `fallback`.
    fn read_keys(table: &mut Section<'_>, fallback: &Self) -> Self {
        Self {
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

    /// Reads the table of a host, or of all hosts.
    pub(super) fn read(mut table: Section<'_>, fallback: &Self) -> Self {
        let care = Self::read_keys(&mut table, fallback);
        table.finish();
        care
    }
}

impl StoreConfig {
    /// Reads the table of this machine's store.
    pub(super) fn read(mut table: Section<'_>) -> Self {
        let store = Self {
            care: CareConfig::read_keys(&mut table, &CareConfig::built_in()),
            secret_key_file: table.path_at("secret_key_file", PathRole::StoreKey),
        };
        table.finish();
        store
    }
}

/// A duration of at least an hour, or `off`.
fn period_or_off(given: Given<'_>) -> Result<Option<Duration>, Complaint> {
    match text(given).as_deref() {
        Ok("off") => Ok(None),
        _ => duration(SHORTEST)(given)
            .map(Some)
            .map_err(|complaint| complaint.or("\"off\" for never")),
    }
}
