//! Helm, as it is run on the chart.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use xtask::process::{describe, finish, run};
use xtask::tools::{go_minor, go_program};

use super::{chart, values};

/// A Helm 3 for each Go, by the minor version that it needs: Debian 12 has Go 1.19, Debian 13 has 1.24.
const VERSIONS: [(u32, &str); 3] = [(26, "v3.22.0"), (24, "v3.19.5"), (19, "v3.11.3")];

/// What the chart is rendered for. A Helm that `go install` built takes Kubernetes for older than any that lives.
const KUBERNETES: &str = "v1.33.0";

/// Helm with its first argument.
pub fn helm(argument: &str) -> Result<Command> {
    let minor = go_minor()?;
    let (_, version) = VERSIONS
        .iter()
        .find(|(needed, _)| *needed <= minor)
        .with_context(|| {
            format!("Helm cannot be built with Go 1.{minor}; install Go 1.19 or later")
        })?;
    let mut command = Command::new(go_program("helm.sh/helm/v3/cmd/helm", version)?);
    // Nothing of the person's own: neither clusters nor plugins.
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .arg(argument);
    Ok(command)
}

/// `helm template` of a chart's folder.
fn template(folder: &Path) -> Result<Command> {
    let mut command = helm("template")?;
    command.args(["example"]).arg(folder).args([
        "--namespace",
        "infra",
        "--kube-version",
        KUBERNETES,
    ]);
    Ok(command)
}

/// What a set of values is rendered to.
pub fn render(set: &str) -> Result<String> {
    run(template(&chart())?.arg("--values").arg(values(set)))
}

/// What the minimal set with a few more values is rendered to, or is refused with.
pub fn render_with(more: &str) -> Result<Output> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("more.yaml");
    std::fs::write(&file, more)?;
    finish(
        template(&chart())?
            .arg("--values")
            .arg(values("minimal"))
            .arg("--values")
            .arg(file),
    )
}

/// The notes that an installation would end with. `helm template` leaves them out, and without a cluster nothing else
/// shows them: so a copy of the chart has them as a template.
pub fn notes(set: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("reconcile");
    run(Command::new("cp").arg("-r").arg(chart()).arg(&copy))?;
    std::fs::rename(copy.join("templates/NOTES.txt"), copy.join("notes.txt"))?;
    std::fs::write(
        copy.join("templates/notes.yaml"),
        "notes: {{ tpl (.Files.Get \"notes.txt\") . | toJson }}\n",
    )?;
    let mut command = template(&copy)?;
    command
        .args(["--show-only", "templates/notes.yaml", "--values"])
        .arg(values(set));
    let said = run(&mut command)?;
    let (_, notes) = said
        .split_once("\nnotes: ")
        .with_context(|| format!("{} gave no notes: {said}", describe(&command)))?;
    Ok(serde_json::from_str::<String>(notes.trim())? + "\n")
}
