//! The star of crates: leaves that do not know one another, one centre. `deny.toml` says who may use what.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// A crate that only some may use.
#[derive(Debug, PartialEq, Eq)]
struct Ban {
    name: String,
    wrappers: Vec<String>,
}

/// Checks the direct dependencies of every crate against `[bans] deny` of `deny.toml`. Development dependencies are
/// free: what tests use does not shape the product.
///
/// # Errors
/// Every dependency that points where it must not.
pub fn check(workspace: &Path) -> Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace.join("Cargo.toml"))
        .exec()?;
    let text = fs::read_to_string(workspace.join("deny.toml")).context("no deny.toml")?;
    let bans = bans(&text)?;
    // Whoever depends on the banned crate, ours or not: a library that brought it in would be a way around.
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        wrong.extend(broken(package, &bans));
    }
    if !wrong.is_empty() {
        bail!("the crates are no star any more:\n{}", wrong.join("\n"));
    }
    Ok(())
}

fn broken(package: &Package, bans: &[Ban]) -> Vec<String> {
    let direct = package
        .dependencies
        .iter()
        .filter(|one| one.kind != DependencyKind::Development && !one.optional);
    let mut wrong = Vec::new();
    for dependency in direct {
        for ban in bans.iter().filter(|ban| ban.name == dependency.name) {
            if !ban
                .wrappers
                .iter()
                .any(|wrapper| wrapper == package.name.as_str())
            {
                wrong.push(format!(
                    "{} uses {}; deny.toml allows {}",
                    package.name,
                    ban.name,
                    ban.wrappers.join(", ")
                ));
            }
        }
    }
    wrong
}

fn bans(text: &str) -> Result<Vec<Ban>> {
    let document = toml_span::parse(text).map_err(|error| anyhow::anyhow!("deny.toml: {error}"))?;
    let listed = document
        .pointer("/bans/deny")
        .and_then(|deny| deny.as_array())
        .context("deny.toml bans nothing")?;
    listed
        .iter()
        .map(|entry| {
            let name = entry
                .pointer("/name")
                .and_then(|name| name.as_str())
                .context("a ban without a name")?;
            let wrappers = entry
                .pointer("/wrappers")
                .and_then(|wrappers| wrappers.as_array());
            let wrappers = wrappers.context("a ban without wrappers")?;
            let wrappers = wrappers
                .iter()
                .filter_map(|name| name.as_str())
                .map(str::to_owned)
                .collect();
            Ok(Ban {
                name: name.to_owned(),
                wrappers,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::cargo::members;
    use super::*;
    use crate::workspace::root;

    #[test]
    fn the_crates_are_a_star() -> Result<()> {
        check(&root())
    }

    #[test]
    fn a_leaf_that_uses_what_is_not_its_own_is_named() -> Result<()> {
        let metadata = members(&root())?;
        let allowed = "[\"reconciler\", \"simulation\"]";
        let bans = bans(&format!(
            "[bans]\ndeny = [{{ name = \"warp\", wrappers = {allowed} }}]"
        ))?;
        let wrong: Vec<_> = metadata
            .packages
            .iter()
            .flat_map(|package| broken(package, &bans))
            .collect();
        assert_eq!(
            wrong,
            ["webhook uses warp; deny.toml allows reconciler, simulation"]
        );
        Ok(())
    }
}
