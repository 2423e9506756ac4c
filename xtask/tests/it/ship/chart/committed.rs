//! The rendered configs that are committed, read by the real program.

use std::fs;

use anyhow::{Context, Result, ensure};
use xtask::process::said;

use super::pod::{Pod, Rendered};
use super::{chart, committed, sets};

#[test]
fn each_committed_config_is_accepted_by_reconcile_check_as_the_pod_runs_it() -> Result<()> {
    let sets = sets()?;
    assert!(sets.len() >= 6, "{sets:?}");
    for set in sets {
        let pod = Pod::lay_out(&Rendered::read(&committed(&set)?)?)?;
        let checked = pod.check()?;
        ensure!(checked.status.success(), "{set}: {}", said(&checked));
        // Nothing to warn of either: no file is open to others, no key is unknown.
        ensure!(checked.stderr.is_empty(), "{set}: {}", said(&checked));
    }
    Ok(())
}

#[test]
fn a_file_that_no_secret_gives_is_told_before_the_daemon_starts() -> Result<()> {
    let mut rendered = Rendered::read(&committed("minimal")?)?;
    rendered.secrets.retain(|name| name != "webhook-secret");
    let checked = Pod::lay_out(&rendered)?.check()?;
    assert_eq!(checked.status.code(), Some(2));
    assert!(
        said(&checked).contains("webhook-secret cannot be read"),
        "{}",
        said(&checked)
    );
    Ok(())
}

/// What stands in a container under one key.
fn part<'a>(container: &'a str, key: &str) -> Result<Vec<&'a str>> {
    let (_, rest) = container
        .split_once(&format!("          {key}:\n"))
        .with_context(|| format!("no {key} in {container}"))?;
    let lines = rest
        .lines()
        .take_while(|line| line.starts_with("            "));
    Ok(lines.collect())
}

#[test]
fn what_checks_the_config_has_the_variables_and_files_that_the_daemon_has() -> Result<()> {
    for set in sets()? {
        let rendered = committed(&set)?;
        let (_, containers) = rendered
            .split_once("        - name: check\n")
            .context("nothing checks the config")?;
        let (check, daemon) = containers
            .split_once("        - name: reconcile\n")
            .context("no daemon")?;
        assert_eq!(part(check, "env")?, part(daemon, "env")?, "{set}");
        let mounts = part(daemon, "volumeMounts")?;
        // These come last, and are for what only the daemon does.
        let builds = mounts.iter().position(|line| line.ends_with("- name: nix"));
        let files = &mounts[..builds.context("no store")?];
        assert_eq!(part(check, "volumeMounts")?, files, "{set}");
    }
    Ok(())
}

#[test]
fn every_rendered_set_is_one_that_is_still_tried() -> Result<()> {
    let mut known = Vec::new();
    for set in sets()? {
        known.extend([format!("{set}.notes.txt"), format!("{set}.yaml")]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(chart().join("tests/rendered"))? {
        found.push(entry?.file_name().to_string_lossy().into_owned());
    }
    found.sort();
    known.sort();
    assert_eq!(found, known);
    Ok(())
}
