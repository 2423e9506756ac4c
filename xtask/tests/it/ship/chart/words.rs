//! The chart's schema, its README and its versions, beside what they speak of.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::workspace::root;

use super::chart;

fn schema() -> Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(
        chart().join("values.schema.json"),
    )?)?)
}

/// The properties that a part of the schema allows, through its references.
fn properties<'a>(
    schema: &'a Value,
    part: &'a Value,
) -> Option<&'a serde_json::Map<String, Value>> {
    let part = match part.get("$ref").and_then(Value::as_str) {
        Some(reference) => schema.pointer(reference.trim_start_matches('#'))?,
        None => part,
    };
    part.get("properties")?.as_object()
}

#[test]
fn the_readme_lists_every_value_that_the_schema_allows() -> Result<()> {
    let (schema, readme) = (schema()?, fs::read_to_string(chart().join("README.md"))?);
    let mut missing = Vec::new();
    let mut open = vec![(String::new(), &schema)];
    while let Some((prefix, part)) = open.pop() {
        for (name, value) in properties(&schema, part).into_iter().flatten() {
            let key = format!("{prefix}{name}");
            // Helm's own, and a table of the program's, whose keys are described with the program.
            let is_leaf = key == "config" || properties(&schema, value).is_none();
            if key == "global" || is_leaf && readme.contains(&format!("\n| {key} |")) {
                continue;
            }
            if is_leaf {
                missing.push(key);
            } else {
                open.push((format!("{key}."), value));
            }
        }
    }
    assert!(missing.is_empty(), "not in the README's table: {missing:?}");
    Ok(())
}

/// The keys of a table in the annotated example, those in comments too.
fn keys_of_example(example: &str, table: &str) -> BTreeSet<String> {
    let is_key = |key: &str| {
        !key.is_empty()
            && key
                .chars()
                .all(|letter| letter == '_' || letter.is_ascii_lowercase())
    };
    let mut within = String::new();
    let mut keys = BTreeSet::new();
    for line in example.lines() {
        let line = line.trim_start_matches(['#', ':', ' ']);
        if let Some(header) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            within = header.to_owned();
            if table.is_empty() {
                keys.insert(header.split('.').next().unwrap_or(header).to_owned());
            }
        } else if let Some((key, _)) = line.split_once(" = ")
            && within.starts_with(table)
            && within.is_empty() == table.is_empty()
            && is_key(key)
        {
            keys.insert(key.to_owned());
        }
    }
    keys
}

#[test]
fn the_schema_knows_every_table_of_the_program_and_every_key_where_people_put_secrets() -> Result<()>
{
    let schema = schema()?;
    let example = fs::read_to_string(root().join("reconciler/reconcile.example.toml"))?;
    let config = &schema["properties"]["config"];
    let tables = &config["properties"];
    let repository = &tables["repositories"]["additionalProperties"];
    for (table, part, the_charts_own) in [
        ("", config, &["operator", "state_directory"][..]),
        ("webhook", &tables["webhook"], &["listen", "path"]),
        ("repositories", repository, &[]),
    ] {
        let keys = keys_of_example(&example, table);
        assert!(keys.len() > 3, "{table}: {keys:?}");
        let known = properties(&schema, part).context("a table without keys")?;
        for key in keys {
            let is_the_charts = the_charts_own.contains(&key.as_str());
            assert_ne!(known.contains_key(&key), is_the_charts, "[{table}] {key}");
        }
    }
    Ok(())
}

#[test]
fn the_chart_is_for_the_version_of_the_program_that_it_lies_beside() -> Result<()> {
    let about = fs::read_to_string(chart().join("Chart.yaml"))?;
    let wanted = format!("\nappVersion: \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert!(about.contains(&wanted), "expected{wanted}in:\n{about}");
    Ok(())
}
