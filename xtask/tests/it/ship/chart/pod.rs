//! What a rendered chart gives the daemon, by what checks its config before: the command, variables, mounts, the config,
//! and files as the kubelet lays them out.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use xtask::process::{finish, run, undisturbed};
use xtask::workspace::binary;

/// The user and the group that the chart's security context names.
const USER: u32 = 1000;

/// A name and a text: of a variable, or of a file.
pub type Named = (String, String);

/// Where the files of the ConfigMap and of Secrets are in the pod.
const CONFIG: &str = "/etc/reconcile";

/// Where the state is.
const STATE: &str = "/var/lib/reconcile";

/// What the templates wrote, of which the daemon sees nothing else.
#[derive(Debug)]
pub struct Rendered {
    /// The init container, which checks the config.
    check: Container,
    /// What the ConfigMap holds.
    pub files: Vec<Named>,
    /// The files that come from Secrets.
    pub secrets: Vec<String>,
    /// The mode of all these files.
    mode: u32,
}

/// A container, as far as a check of the config depends on it.
#[derive(Debug, Clone)]
struct Container {
    command: Vec<String>,
    variables: Vec<Named>,
    /// Where something is mounted.
    mounts: Vec<String>,
}

impl Container {
    /// Reads the first one of a list.
    fn read(list: &str) -> Result<Self> {
        // Comments may come before it.
        let list = format!("\n{list}");
        let first = list.split("\n        - ").nth(1).context("no container")?;
        let command = first
            .lines()
            .find_map(|line| line.trim().strip_prefix("command: "));
        let mounts = section(first, "volumeMounts");
        let path = |line: &String| {
            let path = line.trim_start_matches("- ").strip_prefix("mountPath: ")?;
            Some(path.to_owned())
        };
        Ok(Self {
            command: serde_json::from_str(command.unwrap_or("[]"))?,
            variables: variables(&section(first, "env")),
            mounts: mounts.iter().filter_map(path).collect(),
        })
    }
}

/// The variables that are said as they are, and not by a Secret.
fn variables(env: &[String]) -> Vec<Named> {
    let lines = env.iter().zip(env.iter().skip(1));
    lines
        .filter_map(|(name, value)| {
            let name = name.strip_prefix("- name: ")?;
            let value = value.strip_prefix("value: ")?;
            Some((name.to_owned(), value.trim_matches('"').to_owned()))
        })
        .collect()
}

/// The lines that a container has under a key.
fn section(container: &str, key: &str) -> Vec<String> {
    let key = format!("          {key}:");
    let lines = container.lines().skip_while(|line| *line != key).skip(1);
    lines
        .take_while(|line| line.starts_with("            "))
        .map(|line| line.trim().to_owned())
        .collect()
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
        let (_, check) = set
            .split_once("      initContainers:\n")
            .context("no init containers")?;
        let (check, daemon) = check
            .split_once("      containers:\n")
            .context("no containers")?;
        let lines: Vec<&str> = daemon.lines().map(str::trim).collect();
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
            check: Container::read(check)?,
            files: block_scalars(data)?,
            secrets,
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
    check: Container,
}

impl Pod {
    /// Lays everything out as a kubelet does for a projected volume and our fsGroup: root's files, of our group, behind
    /// the links by which it changes them all at once.
    pub fn lay_out(rendered: &Rendered) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let version = "..2026_01_01_00_00_00.000000001";
        let folder = within(root.path(), CONFIG);
        let state = within(root.path(), STATE);
        for made in [&folder.join(version), &state] {
            fs::create_dir_all(made)?;
            chown(made, Some(0), Some(USER))?;
        }
        fs::set_permissions(root.path(), Permissions::from_mode(0o755))?;
        fs::set_permissions(&state, Permissions::from_mode(0o2775))?;
        symlink(version, folder.join("..data"))?;
        let pod = Self {
            root,
            check: rendered.check.clone(),
        };
        for (name, text) in &rendered.files {
            // The config alone speaks of places; `ssh_config` is not looked into by `check`.
            let text = if name == "reconcile.toml" {
                pod.fill_mounts(text, rendered.mode)?;
                pod.within(text)
            } else {
                text.clone()
            };
            pod.provide(name, &text, rendered.mode)?;
        }
        for name in &rendered.secrets {
            pod.provide(name, secret(name), rendered.mode)?;
        }
        Ok(pod)
    }

    fn provide(&self, name: &str, text: &str, mode: u32) -> Result<()> {
        let folder = self.folder();
        write(&folder.join("..data").join(name), text, mode)?;
        symlink(Path::new("..data").join(name), folder.join(name))
            .with_context(|| format!("{name} is both in `files` and in `secrets`"))
    }

    /// Puts what the config names below other mounts of the check there.
    fn fill_mounts(&self, config: &str, mode: u32) -> Result<()> {
        let mounts = self.check.mounts.iter();
        for mount in mounts.filter(|mount| ![CONFIG, STATE].contains(&mount.as_str())) {
            let folder = within(self.root.path(), mount);
            fs::create_dir_all(&folder)?;
            let named = config.split('"').filter_map(|word| {
                let name = word.strip_prefix(mount.as_str())?.strip_prefix('/')?;
                Some(name)
            });
            for name in named {
                write(&folder.join(name), secret(name), mode)?;
            }
        }
        Ok(())
    }

    /// Where the config and its files are.
    pub fn folder(&self) -> PathBuf {
        within(self.root.path(), CONFIG)
    }

    /// The paths of what is mounted for the check, as they are called from outside.
    fn within(&self, text: &str) -> String {
        let root = self.root.path().display();
        let mounts = self.check.mounts.iter();
        mounts.fold(text.to_owned(), |text, mount| {
            text.replace(mount, &format!("{root}{mount}"))
        })
    }

    /// Runs the init container's command as its user.
    pub fn check(&self) -> Result<Output> {
        let (name, arguments) = self.check.command.split_first().context("no command")?;
        ensure!(name == "reconcile", "it runs {name}");
        // The build's folder need not be open to that user.
        let program = self.root.path().join("reconcile");
        if !program.exists() {
            // By a child: a file that we have open for writing ourselves may be so in the child of another test too, and
            // is then too busy to be run.
            run(Command::new("cp").arg(binary("reconcile")?).arg(&program))?;
        }
        let mut command = undisturbed(&program);
        command.args(arguments).uid(USER).gid(USER).current_dir("/");
        for (name, value) in &self.check.variables {
            command.env(name, self.within(value));
        }
        finish(&mut command)
    }
}

/// A path of the pod below the folder that stands for its root.
fn within(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Writes a file of root's and of our group.
fn write(file: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(file, text)?;
    fs::set_permissions(file, Permissions::from_mode(mode))?;
    chown(file, Some(0), Some(USER))?;
    Ok(())
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
