//! The flake whose toplevels the hosts run: NixOS's shape without nixpkgs, and knobs for everything that can go wrong.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The files of the template, as they lie in `xtask/testbed/flake`.
const TEMPLATE: &[(&str, &str)] = &[
    ("flake.nix", include_str!("../testbed/flake/flake.nix")),
    (
        "toplevel.nix",
        include_str!("../testbed/flake/toplevel.nix"),
    ),
    ("build.sh", include_str!("../testbed/flake/build.sh")),
    ("system-path", include_str!("../testbed/flake/system-path")),
    (
        "switch-to-configuration",
        include_str!("../testbed/flake/switch-to-configuration"),
    ),
    ("activate", include_str!("../testbed/flake/activate")),
    (
        "testbed-marker.service",
        include_str!("../testbed/flake/testbed-marker.service"),
    ),
];

/// How a host's next system is, and how it misbehaves. [`System::new`] is a good one; set what should differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Told apart by this: the marker unit writes it when it starts.
    pub version: String,
    /// What it says that it runs on, whatever it was built on, as a cross build is.
    pub platform: String,
    /// What builds it, as Nix names it: this machine, unless another is said.
    pub built_for: String,
    /// A static busybox for that platform. It then is the builder and all that it runs, as nixpkgs' tools are: no
    /// program of the machine that builds has a part in it, and the system's file `testbed/built-by` has its name and
    /// architecture.
    pub busybox: Option<PathBuf>,
    /// A kernel other than the booted one needs a reboot.
    pub kernel: String,
    /// The kernel's parameters; others than the booted ones need a reboot.
    pub kernel_params: String,
    /// JSON object: the activation refuses when a key has another value than in the running system.
    pub inhibitors: String,
    /// Another value than the running system's ends an activation with 100.
    pub init_interface: String,
    /// How much bigger the toplevel is made, in MiB.
    pub megabytes: u32,
    /// Whether and how it evaluates and builds.
    pub source: Source,
    /// How `switch-to-configuration` ends.
    pub exit: Exit,
    /// The actions to which [`System::exit`] applies.
    pub exit_on: String,
    /// What `switch-to-configuration` does while another holds its lock.
    pub lock: Lock,
    /// Where the activation hangs for ever.
    pub hang: Option<Hang>,
    /// How long the activation takes between stopping and starting units, in seconds.
    pub seconds: u32,
    /// How long the marker unit takes to start, in seconds.
    pub start_seconds: u32,
    /// What the new system does to the way in.
    pub cut: Option<Cut>,
    /// What becomes of the marker unit.
    pub marker: Marker,
    /// A service beside it.
    pub app: Option<App>,
    /// How often in a row a user is gone when the switch comes to what users have, and it breaks off with 1.
    pub user_gone_times: u32,
}

/// Whether and how a system evaluates and builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In 50 ms.
    Good,
    /// `nix eval` fails with a `throw`.
    DoesNotEvaluate,
    /// `nix build` fails.
    DoesNotBuild,
    /// The builder sleeps so many seconds first.
    BuildsSlowly(u32),
}

/// How `switch-to-configuration` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0, or 4 when units failed.
    Good,
    /// 1 from the pre-switch checks, nothing changed.
    ChecksRefuse,
    /// 1 because the bus cannot be had, nothing changed: it may be had the next time.
    BusIsGone,
    /// 1 from the boot loader, nothing activated.
    BootLoaderFails,
    /// 2: the activation script failed; `/run/current-system` has moved.
    ActivationFails,
    /// 4 although every unit of the system is well: what a user has was not activated.
    UserFails,
    /// 100 before anything is changed.
    NeedsReboot,
    /// 11 half-way, as if another held the lock: units are stopped, `/run/current-system` has moved, logind does not
    /// answer.
    LosesLogind,
    /// 101, a panic: units are stopped, `/run/current-system` has moved, nothing is started.
    Panics,
}

/// What `switch-to-configuration` does while another holds its lock; both kinds are in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Older releases wait.
    Wait,
    /// Newer ones exit 11 at once.
    Fail,
}

/// Where an activation hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hang {
    /// Before anything is changed.
    Check,
    /// After units were stopped.
    Stop,
    /// In the activation script, before `/run/current-system` moves. This system also hangs at boot, for 20 s.
    Activate,
    /// After `/run/current-system` has moved, before units start.
    Start,
    /// In `boot`, after the boot default was written.
    Boot,
}

/// What a bad system does to the way in. It is put right when a good one is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// `eth0` down.
    Link,
    /// `eth0` without an address.
    Address,
    /// A firewall that drops everything; open connections stall too.
    Firewall,
    /// sshd stopped and masked; open sessions live on.
    Sshd,
    /// sshd restarted, as when its configuration changes. The way in stays.
    Restart,
    /// Our keys removed: open connections live on, a new login is refused.
    Keys,
}

/// What becomes of the marker unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// It starts.
    Starts,
    /// It fails, and is a failed unit.
    Fails,
    /// It never finishes starting.
    Hangs,
}

/// A service that ends badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// At once, again and again, ten seconds after each time.
    Crashes,
    /// Once, three seconds after its start.
    Dies,
}

impl System {
    /// A good system.
    #[must_use]
    pub fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            platform: format!("{}-linux", std::env::consts::ARCH),
            built_for: format!("{}-linux", std::env::consts::ARCH),
            busybox: None,
            kernel: "6.12.30".to_owned(),
            kernel_params: "quiet loglevel=4".to_owned(),
            inhibitors: "{}".to_owned(),
            init_interface: "systemd 257".to_owned(),
            megabytes: 0,
            source: Source::Good,
            exit: Exit::Good,
            exit_on: "switch test".to_owned(),
            lock: Lock::Wait,
            hang: None,
            seconds: 0,
            start_seconds: 0,
            cut: None,
            marker: Marker::Starts,
            app: None,
            user_gone_times: 0,
        }
    }

    fn nix(&self) -> String {
        let build = match self.source {
            Source::Good | Source::DoesNotEvaluate => String::new(),
            Source::DoesNotBuild => {
                "echo 'error: this system does not build' >&2; exit 1".to_owned()
            }
            Source::BuildsSlowly(seconds) => format!("sleep {seconds}"),
        };
        let build = match self.busybox {
            Some(_) => format!("mkdir -p $out/testbed; uname -nm > $out/testbed/built-by; {build}"),
            None => build,
        };
        let version = match self.source {
            Source::DoesNotEvaluate => "throw \"this system does not evaluate\"".to_owned(),
            _ => quoted(&self.version),
        };
        format!(
            "{{\n  system = {};\n  platform = {};\n  version = {version};\n  kernel = {};\n  kernelParams = {};\n  inhibitors = {};\n  \
             initInterface = {};\n  megabytes = {};\n  build = {};\n}}\n",
            quoted(&self.built_for),
            quoted(&self.platform),
            quoted(&self.kernel),
            quoted(&self.kernel_params),
            quoted(&self.inhibitors),
            quoted(&self.init_interface),
            self.megabytes,
            quoted(&build),
        )
    }

    fn behaviour(&self) -> String {
        let exit_code = match self.exit {
            Exit::Good => 0,
            Exit::ChecksRefuse => 1,
            Exit::BusIsGone => 5,
            Exit::ActivationFails => 2,
            Exit::BootLoaderFails => 3,
            Exit::UserFails => 4,
            Exit::LosesLogind => 11,
            Exit::NeedsReboot => 100,
            Exit::Panics => 101,
        };
        format!(
            "# Read by activate and switch-to-configuration; shell assignments.\nexit_code={exit_code}\nexit_on='{}'\n\
             lock={}\nhang={}\nseconds={}\nstart_seconds={}\ncut={}\nmarker={}\n\
             app={}\nuser_gone_times={}\n",
            self.exit_on,
            word(self.lock),
            self.hang.map_or("no".to_owned(), word),
            self.seconds,
            self.start_seconds,
            self.cut.map_or("none".to_owned(), word),
            match self.marker {
                Marker::Starts => "start",
                Marker::Fails => "fail",
                Marker::Hangs => "hang",
            },
            self.app.map_or("none".to_owned(), word),
            self.user_gone_times,
        )
    }
}

/// Writes the template, with no host in it.
///
/// # Errors
/// When a file cannot be written.
pub fn write_template(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("hosts"))?;
    for (name, text) in TEMPLATE {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// Writes a host's folder.
///
/// # Errors
/// When a file cannot be written.
pub fn write_host(folder: &Path, name: &str, system: &System) -> Result<()> {
    let host = folder.join("hosts").join(name);
    fs::create_dir_all(&host)?;
    fs::write(host.join("default.nix"), system.nix())?;
    fs::write(host.join("behaviour"), system.behaviour())?;
    let tools = host.join("tools");
    if let Some(busybox) = &system.busybox {
        fs::create_dir_all(&tools)?;
        fs::copy(busybox, tools.join("busybox"))
            .with_context(|| format!("cannot copy {}", busybox.display()))?;
    } else if tools.exists() {
        fs::remove_dir_all(tools)?;
    }
    Ok(())
}

/// The texts of a flake's files in a fixed order, for naming what is made of them.
///
/// # Errors
/// When a file cannot be read.
pub fn texts(folder: &Path) -> Result<Vec<String>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files.sort();
    files
        .iter()
        .map(|file| Ok(fs::read_to_string(file)?))
        .collect()
}

/// The store path that a host's toplevel has, or would have if it were built.
///
/// # Errors
/// When it does not evaluate.
pub fn evaluate(flake: &str, host: &str) -> Result<String> {
    process::run(
        Command::new("nix")
            .args(["eval", "--offline", "--raw"])
            .arg(format!("{}.outPath", attribute(flake, host))),
    )
}

/// Builds a host's toplevel; gives its store path.
///
/// # Errors
/// When it does not evaluate or build.
pub fn build(flake: &str, host: &str) -> Result<String> {
    // Nix 2.8 has no --print-out-paths.
    let text = process::run(Command::new("nix").args([
        "build",
        "--offline",
        "--no-link",
        "--json",
        &attribute(flake, host),
    ]))?;
    let built: serde_json::Value = serde_json::from_str(&text)?;
    Ok(built[0]["outputs"]["out"]
        .as_str()
        .context("nix build named no output")?
        .to_owned())
}

fn attribute(flake: &str, host: &str) -> String {
    format!("{flake}#nixosConfigurations.\"{host}\".config.system.build.toplevel")
}

/// A Nix string.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace("${", "\\${");
    format!("\"{escaped}\"")
}

/// A variant's name as the scripts have it.
fn word(value: impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}
