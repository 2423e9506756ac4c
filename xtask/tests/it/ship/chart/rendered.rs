//! What Helm makes of the chart, and whether Kubernetes would take it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::process::{run, said};
use xtask::tools::python_program;

use super::helm::{helm, notes, render, render_with};
use super::pod::{Pod, Rendered, made_by};
use super::{chart, committed, sets, values};

/// Each release of kubernetes-validate, and the versions of Kubernetes whose schemas it has.
const SCHEMAS: [(&str, &[&str]); 3] = [
    ("1.27.1", &["1.27"]),
    ("1.33.1", &["1.33", "1.32"]),
    ("1.37.0", &["1.37", "1.36"]),
];

/// Kinds that Kubernetes itself does not know, so that none of its schemas has them.
const CUSTOM: [&str; 3] = ["HTTPRoute", "PrometheusRule", "ServiceMonitor"];

/// The plain files that the chart takes in whole, and how far in.
const PLAIN: [(&str, &str); 2] = [("alerts.yaml", "  "), ("dashboard.json", "    ")];

/// A rendered set without the plain files, which are committed already.
fn without_plain_files(mut rendered: String, set: &str) -> Result<String> {
    if set != "monitoring" {
        return Ok(rendered);
    }
    for (name, indent) in PLAIN {
        let text = fs::read_to_string(chart().join("files").join(name))?;
        let text = format!(
            "{indent}{}",
            text.trim().replace('\n', &format!("\n{indent}"))
        );
        ensure!(rendered.contains(&text), "{name} is not rendered as it is");
        rendered = rendered.replace(&text, &format!("{indent}# files/{name}"));
    }
    Ok(rendered)
}

#[test]
#[ignore = "long"]
fn what_helm_renders_is_what_is_committed() -> Result<()> {
    let update = std::env::var_os("UPDATE_RENDERED").is_some();
    let mut differ = Vec::new();
    for set in sets()? {
        for (file, text) in [
            (
                format!("{set}.yaml"),
                without_plain_files(render(&set)?, &set)?,
            ),
            (format!("{set}.notes.txt"), notes(&set)?),
        ] {
            let path = chart().join("tests/rendered").join(&file);
            if fs::read_to_string(&path).ok().as_deref() == Some(text.as_str()) {
                continue;
            }
            if update {
                fs::write(&path, text)?;
            } else {
                differ.push(difference(&path, &text)?);
            }
        }
    }
    assert!(
        differ.is_empty(),
        "look at what has changed, and if it is meant, run this test with UPDATE_RENDERED=1:\n{}",
        differ.join("\n")
    );
    Ok(())
}

fn difference(committed: &Path, rendered: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let now = folder.path().join("now");
    fs::write(&now, rendered)?;
    let output = xtask::process::finish(Command::new("diff").arg("-uN").arg(committed).arg(now))?;
    Ok(said(&output))
}

#[test]
#[ignore = "long"]
fn the_chart_passes_helm_lint_strictly_with_each_set() -> Result<()> {
    run(helm("lint")?.arg("--strict").arg(chart()))?;
    for set in sets()? {
        run(helm("lint")?
            .arg("--strict")
            .arg(chart())
            .arg("--values")
            .arg(values(&set)))?;
    }
    Ok(())
}

#[test]
#[ignore = "long"]
fn the_schemas_of_old_and_new_kubernetes_take_every_object() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut files = Vec::new();
    for set in sets()? {
        let file = folder.path().join(format!("{set}.yaml"));
        fs::write(&file, known_to_kubernetes(&render(&set)?))?;
        files.push(file);
    }
    for (release, versions) in SCHEMAS {
        for version in versions {
            run(python_program("kubernetes-validate", release)?
                .args(["--strict", "--kubernetes-version", version])
                .args(&files))?;
        }
    }
    // That it can refuse at all.
    let wrong = folder.path().join("wrong.yaml");
    let set = made_by(&committed("minimal")?, "statefulset.yaml").concat();
    fs::write(&wrong, set.replace("serviceName:", "serviceNam:"))?;
    let refused = run(python_program("kubernetes-validate", SCHEMAS[0].0)?
        .arg("--strict")
        .arg(wrong));
    let refused = refused.err().context("a typo is let pass")?.to_string();
    assert!(refused.contains("serviceNam"), "{refused}");
    Ok(())
}

fn known_to_kubernetes(rendered: &str) -> String {
    let is_known = |object: &&str| {
        !CUSTOM
            .iter()
            .any(|kind| object.contains(&format!("\nkind: {kind}\n")))
    };
    let objects: Vec<&str> = rendered.split("---\n").filter(is_known).collect();
    objects.join("---\n")
}

#[test]
#[ignore = "long"]
fn the_values_that_the_readme_shows_are_rendered() -> Result<()> {
    let readme = fs::read_to_string(chart().join("README.md"))?;
    let (_, rest) = readme.split_once("   ```yaml\n").context("no values")?;
    let (shown, _) = rest
        .split_once("   ```\n")
        .context("no end of the values")?;
    let values: String = shown
        .lines()
        .map(|line| format!("{}\n", line.get(3..).unwrap_or_default()))
        .collect();
    let output = render_with(&values)?;
    ensure!(output.status.success(), "{}", said(&output));
    let rendered = String::from_utf8(output.stdout)?;
    let rendered = Rendered::read(&rendered)?;
    let checked = Pod::lay_out(&rendered)?.check()?;
    ensure!(checked.status.success(), "{}", said(&checked));
    let ssh_config = rendered.files.iter().find(|(name, _)| name == "ssh_config");
    let (_, ssh_config) = ssh_config.context("no ssh_config")?;
    // Or ssh would log in as the container's user, which no host knows.
    let count = |word| ssh_config.matches(word).count();
    assert_eq!(count("User "), count("HostName "), "{ssh_config}");
    Ok(())
}

#[test]
#[ignore = "long"]
fn only_what_is_read_at_the_start_restarts_the_pod() -> Result<()> {
    let pod = |more: &str| -> Result<String> {
        let output = render_with(more)?;
        ensure!(output.status.success(), "{more}: {}", said(&output));
        Ok(made_by(&String::from_utf8(output.stdout)?, "statefulset.yaml").concat())
    };
    let before = pod("")?;
    for taken_up in [
        "config: { hosts: { cyt-pi: {} } }",
        "config: { webhook: { delivery_grace: 1m } }",
        "files: { ssh_config: '' }",
        "prometheusRule: { enabled: true }",
    ] {
        assert_eq!(pod(taken_up)?, before, "{taken_up}");
    }
    for at_start in [
        "config: { log: { level: debug } }",
        "config: { webhook: { body_limit: 1024 } }",
        "webhook: { path: /other }",
    ] {
        assert_ne!(pod(at_start)?, before, "{at_start}");
    }
    Ok(())
}

#[test]
#[ignore = "long"]
fn the_package_has_what_is_installed_and_nothing_of_the_tests() -> Result<()> {
    let folder = tempfile::tempdir()?;
    run(helm("package")?
        .arg(chart())
        .arg("--destination")
        .arg(folder.path()))?;
    let package = fs::read_dir(folder.path())?
        .next()
        .context("no package")??
        .path();
    let list = run(Command::new("tar").arg("-tzf").arg(package))?;
    for name in [
        "files/alerts.yaml",
        "files/dashboard.json",
        "values.schema.json",
        "templates/NOTES.txt",
        "README.md",
    ] {
        assert!(
            list.contains(&format!("reconcile/{name}\n")),
            "{name} is missing in:\n{list}"
        );
    }
    for name in ["ci/", "tests/"] {
        assert!(!list.contains(name), "{name} is in:\n{list}");
    }
    Ok(())
}
