//! The Grafana dashboard.

use serde_json::Value;

use crate::files::{Query, dashboard_text};

/// It, whole.
pub fn read() -> Value {
    serde_json::from_str(&dashboard_text()).unwrap()
}

/// Its panels, rows included.
pub fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

/// A text of a panel or variable.
pub fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Every query of panels and variables.
pub fn queries() -> Vec<Query> {
    let dashboard = read();
    let mut queries = Vec::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(Query {
                place: format!("the panel {:?}", word(panel, "title")),
                expression: filled_in(word(target, "expr")),
                shown: vec![word(target, "legendFormat").to_owned()],
            });
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if word(variable, "type") != "query" {
            continue;
        }
        let query = word(&variable["query"], "query");
        let inside = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        let (expression, label) = inside.and_then(|inside| inside.rsplit_once(',')).unwrap();
        queries.push(Query {
            place: format!("the variable {}", word(variable, "name")),
            expression: filled_in(expression),
            shown: vec![format!("{{{{{}}}}}", label.trim())],
        });
    }
    queries
}

/// A query as Grafana sends it.
fn filled_in(query: &str) -> String {
    let values = [
        ("$__rate_interval", "5m"),
        ("$__range", "1h"),
        ("$host", ".*"),
        ("$instance", ".*"),
    ];
    values
        .iter()
        .fold(query.to_owned(), |query, (name, value)| {
            query.replace(name, value)
        })
}
