//! The dashboard is as Grafana's documentation of the JSON model wants it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::dashboard::{panels, read, word};

/// How many columns Grafana's grid has.
const COLUMNS: u64 = 24;

/// Panel types that are part of Grafana itself.
const TYPES: [&str; 6] = [
    "bargauge",
    "row",
    "stat",
    "state-timeline",
    "table",
    "timeseries",
];

/// Units by their ids in Grafana.
const UNITS: [&str; 4] = ["bytes", "none", "reqps", "s"];

fn without_rows(dashboard: &Value) -> impl Iterator<Item = &Value> {
    panels(dashboard)
        .iter()
        .filter(|panel| word(panel, "type") != "row")
}

#[test]
fn grafana_takes_the_dashboard() {
    let dashboard = read();
    // A number would be another dashboard's, in the Grafana that it was exported from.
    assert!(dashboard["id"].is_null());
    assert_eq!(word(&dashboard, "uid"), "reconcile");
    assert_eq!(dashboard["schemaVersion"], 39);
    for (key, is_right) in [
        ("title", dashboard["title"].is_string()),
        ("tags", dashboard["tags"].is_array()),
        ("time", dashboard["time"]["from"].is_string()),
        ("timepicker", dashboard["timepicker"].is_object()),
        ("annotations", dashboard["annotations"]["list"].is_array()),
        ("links", dashboard["links"].is_array()),
        ("refresh", dashboard["refresh"].is_string()),
    ] {
        assert!(is_right, "{key} is {}", dashboard[key]);
    }
}

#[test]
fn every_panel_has_its_own_id_and_place() {
    let dashboard = read();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = word(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id");
        let side = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let (x, y, width, height) = (side("x"), side("y"), side("w"), side("h"));
        assert!(
            width > 0 && height > 0 && x + width <= COLUMNS,
            "{title}: its place"
        );
        for column in x..x + width {
            for line in y..y + height {
                assert!(
                    taken.insert((column, line)),
                    "{title} lies on another panel"
                );
            }
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let dashboard = read();
    let mut titles = BTreeSet::new();
    for panel in panels(&dashboard) {
        let (kind, title) = (word(panel, "type"), word(panel, "title"));
        assert!(TYPES.contains(&kind), "{title} is a {kind}");
        assert!(titles.insert((kind, title)) && !title.is_empty(), "{panel}");
    }
    for panel in without_rows(&dashboard) {
        let title = word(panel, "title");
        assert!(
            word(panel, "description").ends_with('.'),
            "{title}: its description"
        );
        let unit = word(&panel["fieldConfig"]["defaults"], "unit");
        assert!(UNITS.contains(&unit), "{title}: its unit {unit:?}");
        assert!(panel["options"].is_object(), "{title}: its options");
    }
}

#[test]
fn every_query_asks_the_chosen_prometheus_and_has_its_own_letter() {
    let dashboard = read();
    let chosen = serde_json::json!({"type": "prometheus", "uid": "${datasource}"});
    for panel in without_rows(&dashboard) {
        let title = word(panel, "title");
        assert_eq!(panel["datasource"], chosen, "{title}");
        let targets = panel["targets"].as_array().unwrap();
        let letters: BTreeSet<&str> = targets.iter().map(|target| word(target, "refId")).collect();
        assert_eq!(letters.len(), targets.len(), "{title}");
        for target in targets {
            assert_eq!(target["datasource"], chosen, "{title}");
            assert_ne!(target["instant"], target["range"], "{title}");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|one| word(one, "name")).collect();
    assert_eq!(names, ["datasource", "instance", "host"]);
    assert_eq!(word(&variables[0], "type"), "datasource");
    assert_eq!(word(&variables[0], "query"), "prometheus");
    for variable in &variables[1..] {
        assert_eq!(variable["datasource"], chosen, "{variable}");
    }
}

#[test]
fn every_panel_follows_the_chosen_hosts_and_daemons() {
    let dashboard = read();
    for panel in without_rows(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let query = word(target, "expr");
            assert!(query.contains("instance=~\"$instance\""), "{query}");
            let is_about_hosts = query.contains("reconcile_host_");
            assert!(
                !is_about_hosts || query.contains("host=~\"$host\""),
                "{query}"
            );
        }
    }
}
