//! What a rendered chart gives the daemon in its pod: variables, the config, and files as the kubelet lays them out.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};
use xtask::process::{finish, run, undisturbed};
use xtask::workspace::binary;

/// The user and the group that the chart's security context names.
const USER: u32 = 1000;

/// A name and a text: of a variable, or of a file.
pub type Named = (String, String);

/// What the templates wrote, of which the daemon sees nothing else.
#[derive(Debug)]
pub struct Rendered {
    /// The variables that begin with `RECONCILE_`.
    pub variables: Vec<Named>,
    /// What the ConfigMap holds.
    pub files: Vec<Named>,
    /// The files that come from Secrets.
    pub secrets: Vec<String>,
    /// Where else the init container finds files.
    mounts: Vec<String>,
    /// The mode of all these files.
    mode: u32,
}

/// The objects that a template of the chart made.
pub fn made_by<'a>(rendered: &'a str, template: &str) -> Vec<&'a str> {
    let source = format!("# Source: reconcile/templates/{template}\n");
    rendered
        .split("---\n")
        .filter_map(|object| object.strip_prefix(&source))
        .collect()
}

impl Rendered {
    /// Reads what Helm wrote. It is our own template, so its lines are known: no reader of YAML is needed.
    pub fn read(rendered: &str) -> Result<Self> {
        let map = made_by(rendered, "configmap.yaml");
        let (_, data) = map
            .first()
            .and_then(|map| map.split_once("\ndata:\n"))
            .context("no ConfigMap")?;
        let set = made_by(rendered, "statefulset.yaml");
        let set = set.first().context("no StatefulSet")?;
        let (check, daemon) = set
            .split_once("      containers:\n")
            .context("no containers")?;
        let mounts = check
            .lines()
            .filter_map(|line| {
                line.trim()
                    .trim_start_matches("- ")
                    .strip_prefix("mountPath: ")
            })
            .filter(|path| !["/etc/reconcile", "/var/lib/reconcile"].contains(path))
            .map(ToOwned::to_owned)
            .collect();
        let lines: Vec<&str> = daemon.lines().map(str::trim).collect();
        let variables = lines
            .iter()
            .zip(lines.iter().skip(1))
            .filter_map(|(name, value)| {
                let name = name
                    .strip_prefix("- name: ")
                    .filter(|name| name.starts_with("RECONCILE_"))?;
                let value = value.strip_prefix("value: ")?;
                Some((name.to_owned(), value.trim_matches('"').to_owned()))
            })
            .collect();
        let mode = lines
            .iter()
            .find_map(|line| line.strip_prefix("defaultMode: "))
            .context("no mode of the files")?;
        let mode = u32::from_str_radix(mode, 8)?;
        let secrets = lines
            .iter()
            .filter_map(|line| line.strip_prefix("path: "))
            .filter(|path| !path.starts_with('/'))
            .map(ToOwned::to_owned)
            .collect();
        Ok(Self {
            variables,
            files: block_scalars(data)?,
            secrets,
            mounts,
            mode,
        })
    }
}

/// Entries such as `name: |` with lines that are further in.
fn block_scalars(data: &str) -> Result<Vec<Named>> {
    let mut files: Vec<Named> = Vec::new();
    for line in data.lines() {
        if let Some(text) = line.strip_prefix("    ") {
            let (_, file) = files.last_mut().context("a text without a name")?;
            file.push_str(text);
            file.push('\n');
        } else if line.trim().is_empty() {
            if let Some((_, file)) = files.last_mut() {
                file.push('\n');
            }
        } else {
            let name = line.trim().strip_suffix(": |");
            let name = name.with_context(|| format!("{line:?} does not begin a text"))?;
            files.push((name.to_owned(), String::new()));
        }
    }
    Ok(files)
}

/// A folder that stands for the root of the pod's file system.
#[derive(Debug)]
pub struct Pod {
    root: tempfile::TempDir,
    variables: Vec<Named>,
    mounts: Vec<String>,
}

impl Pod {
    /// Lays everything out as a kubelet does for a projected volume and our fsGroup: root's files, of our group, behind
    /// the links by which it changes them all at once.
    pub fn lay_out(rendered: &Rendered) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let version = "..2026_01_01_00_00_00.000000001";
        let folder = root.path().join("etc/reconcile");
        let state = root.path().join("var/lib/reconcile");
        for made in [&folder.join(version), &state] {
            fs::create_dir_all(made)?;
            chown(made, Some(0), Some(USER))?;
        }
        fs::set_permissions(root.path(), Permissions::from_mode(0o755))?;
        fs::set_permissions(&state, Permissions::from_mode(0o2775))?;
        symlink(version, folder.join("..data"))?;
        let pod = Self {
            root,
            variables: rendered.variables.clone(),
            mounts: rendered.mounts.clone(),
        };
        for (name, text) in &rendered.files {
            // The config alone speaks of places; `ssh_config` is not looked into by `check`.
            let text = if name == "reconcile.toml" {
                pod.within(text)
            } else {
                text.clone()
            };
            pod.provide(name, &text, rendered.mode)?;
        }
        for name in &rendered.secrets {
            pod.provide(name, secret(name), rendered.mode)?;
        }
        for mount in &rendered.mounts {
            pod.provide_by_mount(mount, rendered)?;
        }
        Ok(pod)
    }

    fn provide(&self, name: &str, text: &str, mode: u32) -> Result<()> {
        let folder = self.folder();
        let file = folder.join("..data").join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, Permissions::from_mode(mode))?;
        chown(&file, Some(0), Some(USER))?;
        symlink(Path::new("..data").join(name), folder.join(name))
            .with_context(|| format!("{name} is both in `files` and in `secrets`"))
    }

    /// What the config names in a volume of the person's own, which is mounted there.
    fn provide_by_mount(&self, mount: &str, rendered: &Rendered) -> Result<()> {
        let folder = self.root.path().join(mount.trim_start_matches('/'));
        fs::create_dir_all(&folder)?;
        for (_, text) in rendered
            .files
            .iter()
            .filter(|(name, _)| name == "reconcile.toml")
        {
            let named = text.split('"').filter_map(|word| word.strip_prefix(mount));
            for name in named.filter_map(|rest| rest.strip_prefix('/')) {
                let file = folder.join(name);
                fs::write(&file, secret(name))?;
                fs::set_permissions(&file, Permissions::from_mode(rendered.mode))?;
                chown(&file, Some(0), Some(USER))?;
            }
        }
        Ok(())
    }

    /// Where the config and its files are.
    pub fn folder(&self) -> PathBuf {
        self.root.path().join("etc/reconcile")
    }

    /// The pod's paths, as they are called from outside.
    fn within(&self, text: &str) -> String {
        let root = self.root.path().display();
        let usual = ["/etc/reconcile", "/var/lib/reconcile"].into_iter();
        usual
            .chain(self.mounts.iter().map(String::as_str))
            .fold(text.to_owned(), |text, path| {
                text.replace(path, &format!("{root}{path}"))
            })
    }

    /// Runs the init container's command as its user.
    pub fn check(&self) -> Result<Output> {
        // The build's folder need not be open to that user.
        let program = self.root.path().join("reconcile");
        if !program.exists() {
            // By a child: a file that we have open for writing ourselves may be so in the child of another test too, and
            // is then too busy to be run.
            run(Command::new("cp").arg(binary("reconcile")?).arg(&program))?;
        }
        let mut command = undisturbed(&program);
        command
            .args(["check", "--offline"])
            .uid(USER)
            .gid(USER)
            .current_dir("/");
        for (name, value) in &self.variables {
            command.env(name, self.within(value));
        }
        finish(&mut command)
    }
}

/// What a file of this name may hold.
fn secret(name: &str) -> &'static str {
    if name.contains("secret") {
        "9b1d2c3e4f5a69788796a5b4c3d2e1f09b1d2c3e4f5a69788796a5b4c3d2e1f0\n"
    } else if name.contains("token") {
        "0123456789abcdef0123456789abcdef01234567\n"
    } else {
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    }
}
