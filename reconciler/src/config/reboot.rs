//! The table `[defaults.reboot]` and `[hosts.NAME.reboot]`: whether and when a host is rebooted.

use std::time::Duration;

use super::parse::SECOND;
use super::section::Section;
use super::values::{choice, duration};
use super::windows::windows;
use crate::window::Window;

/// Table `[hosts.NAME.reboot]`, with `[defaults.reboot]` filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct RebootConfig {
    /// Whether the loop reboots the host by itself.
    pub policy: RebootPolicy,
    /// When it may be rebooted; `None` where deployments' own windows hold, empty for at any time.
    pub windows: Option<Vec<Window>>,
    /// How long the host may take to be back, at least 1 s.
    pub deadline: Duration,
}

/// Whether the loop reboots a host by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebootPolicy {
    /// Never.
    Never,
    /// When only a reboot brings it wholly to the wanted system.
    WhenRequired,
}

/// How long a host may take to be back: a server's firmware takes minutes, and so does a file system's
/// check.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

impl RebootConfig {
    /// What holds where nobody says anything.
    pub(super) fn built_in() -> Self {
        Self {
            policy: RebootPolicy::Never,
            windows: None,
            deadline: DEADLINE,
        }
    }

    /// Reads `table`; what it does not say is taken from `fallback`.
    pub(super) fn read(mut table: Section<'_>, fallback: &Self) -> Self {
        const POLICIES: [(&str, RebootPolicy); 2] = [
            ("never", RebootPolicy::Never),
            ("when-required", RebootPolicy::WhenRequired),
        ];
        let reboot = Self {
            policy: table.or("policy", choice(&POLICIES), fallback.policy),
            windows: windows(&mut table, "windows").or_else(|| fallback.windows.clone()),
            deadline: table.or("deadline", duration(SECOND), fallback.deadline),
        };
        table.finish();
        reboot
    }
}
