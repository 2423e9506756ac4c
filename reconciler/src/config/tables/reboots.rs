//! The table `[defaults.reboot]` and `[hosts.NAME.reboot]`: whether and when a host is rebooted.

use planning::model::spec::{RebootConfig, RebootPolicy};

use super::windows::windows;
use crate::config::reader::Section;
use crate::config::reader::values::{SECOND, choice, duration};

/// Reads `table`; what it does not say is taken from `fallback`.
pub(super) fn reboots(mut table: Section<'_>, fallback: &RebootConfig) -> RebootConfig {
    const POLICIES: [(&str, RebootPolicy); 2] = [
        ("never", RebootPolicy::Never),
        ("when-required", RebootPolicy::WhenRequired),
    ];
    let reboots = RebootConfig {
        policy: table.or("policy", choice(&POLICIES), fallback.policy),
        windows: windows(&mut table, "windows").or_else(|| fallback.windows.clone()),
        deadline: table.or("deadline", duration(SECOND), fallback.deadline),
    };
    table.finish();
    reboots
}
