//! The panels that count what happened in the time shown, each asked by `promtool` of a daemon that was restarted meanwhile.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::Result;
use xtask::process::run;

use super::questions::of_dashboard;

/// A counter whose series begin with their first event, and one that is there before.
const BEGINS_WITH_ONE: &str = "_x10 1x4 3x14 _x1 1x5 2x20";
const BEGINS_WITH_NONE: &str = "0x14 1000x14 _x1 0x5 500x20";

/// What happened in the hour shown: three events and two after the restart, or a thousand and five hundred.
const PANELS: [(&str, &str, &str, u32); 6] = [
    (
        "Outcomes by host",
        "reconcile_deployments_total{host=\"h\",action=\"switch\",outcome=\"converged\"}",
        BEGINS_WITH_ONE,
        5,
    ),
    (
        "Rollbacks",
        "reconcile_rollbacks_total{host=\"h\",reason=\"not_acknowledged\"}",
        BEGINS_WITH_ONE,
        5,
    ),
    (
        "Reboots",
        "reconcile_reboots_total{host=\"h\",outcome=\"rebooted\"}",
        BEGINS_WITH_ONE,
        5,
    ),
    (
        "Deliveries",
        "reconcile_webhook_deliveries_total{event=\"push\",result=\"accepted\"}",
        BEGINS_WITH_ONE,
        5,
    ),
    (
        "Garbage collections",
        "reconcile_store_collections_total{store=\"h\",result=\"done\"}",
        BEGINS_WITH_NONE,
        1500,
    ),
    (
        "Freed",
        "reconcile_store_freed_bytes_total{store=\"h\"}",
        BEGINS_WITH_NONE,
        1500,
    ),
];

/// Nothing happened before the last scrape.
const JUST_NOW: &str = "_x54 1";

#[test]
#[ignore = "long"]
fn bars_count_what_happened_before_a_restart_too() -> Result<()> {
    let mut tests = String::from("evaluation_interval: 1m\ntests:\n");
    let mut one = |panel: &str, series: &str, values: &str, expected: u32| -> Result<()> {
        let queries = of_dashboard("1h")?;
        let query = queries.iter().find(|question| question.is_of(panel));
        let query = query.expect(panel).query.replace('\'', "''");
        // A rate that is carried on to the edges of the hour is a little more than what was counted.
        let nearest = if expected > 100 { 100 } else { 1 };
        writeln!(
            tests,
            "  - interval: 1m\n    input_series:\n      - {{series: '{series}', values: '{values}'}}\n    \
             promql_expr_test:\n      - expr: 'sum(round({query}, {nearest}))'\n        eval_time: 55m\n        \
             exp_samples: [{{labels: '{{}}', value: {expected}}}]"
        )?;
        Ok(())
    };
    for (panel, series, values, expected) in PANELS {
        let series = series.replace('}', ",instance=\"i\",job=\"j\"}");
        one(panel, &series, values, expected)?;
        if values == BEGINS_WITH_ONE {
            one(panel, &series, JUST_NOW, 1)?;
        }
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bars.yaml");
    fs::write(&file, tests)?;
    run(Command::new("promtool").args(["test", "rules"]).arg(file))?;
    Ok(())
}
