//! A Docker engine of one's own: Debian's, in a root of its own, for tests that build and run the image.
//!
//! Its processes are in namespaces of their own for mounts and process ids, and end with the first of them; its network
//! is this machine's, and it makes neither a bridge nor rules for the firewall. What it has built is kept between runs,
//! because the program's dependencies take minutes.

mod images;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::Flock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cache::{self, CACHE};
use crate::claim::{Claim, network_name, record_process};
use crate::fleet::layers;
use crate::process::{self, run, tail};
use crate::wait::wait_until;
use crate::workspace;

/// What the engine's root has: the engine, its command line, the builder behind `docker build`, and compose.
const ROOT: &[&str] = &[
    "--variant=essential",
    "--include=ca-certificates,docker-buildx,docker-cli,docker-compose,docker.io",
];

/// How long the engine may take to answer; it starts containerd first.
const STARTING: Duration = Duration::from_secs(60);

/// How long it may take to end when asked; after that it is killed.
const ENDING: Duration = Duration::from_secs(15);

/// How much of the engine's log an error repeats.
const LOG_BYTES: usize = 4_000;

/// How much of what builds have made is kept: the base images, the toolchain, and one build of all dependencies.
const KEPT: &str = "8GB";

/// Where the project lies for the engine, and the toolchain that the machine builds it with.
pub const WORKSPACE: &str = "/workspace";
const TOOLCHAIN: &str = "/toolchain";

/// Makes a root ready and becomes the engine in it: ROOT, then pairs of a folder and its place in there, `--`, and the command.
const START: &str = r#"
set -eu
root=$1
shift
mount -t proc proc "$root/proc"
for place in sys dev; do mount --rbind "/$place" "$root/$place"; done
while [ "$1" != -- ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
shift
# Not chroot: in one, the kernel lets nobody make a user namespace.
mkdir -p "$root/machine"
cd "$root"
pivot_root . machine
exec chroot . "$@"
"#;

/// A running engine, until it is dropped.
#[derive(Debug)]
pub struct Engine {
    claim: Claim,
    // The engine's own process; the claim has it and the one that waits for it.
    pid: i32,
    // One at a time works on what is kept.
    _lock: Flock<fs::File>,
}

impl Engine {
    /// The engine that everybody in this process shares until the last of them drops it.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn obtain() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Engine>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = shared.upgrade() {
            return Ok(engine);
        }
        let engine = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&engine);
        Ok(engine)
    }

    /// Starts one, and waits until it answers. Containers and volumes of earlier runs are gone, images are not.
    ///
    /// # Errors
    /// When Debian's packages cannot be had, or the kernel lets nobody run containers.
    pub fn start() -> Result<Self> {
        crate::bootstrap::require_root()?;
        let layer = layers::debian_with("engine", ROOT)?;
        let kept = Path::new(CACHE).join("engine-data");
        fs::create_dir_all(&kept)?;
        let lock = cache::lock(&Path::new(CACHE).join("engine-lock"))?;
        let claim = Claim::new()?;
        let folder = claim.directory();
        let root = folder.join("engine");
        layers::mount(&[layer], &folder.join("upper"), &folder.join("work"), &root)?;
        for file in ["etc/resolv.conf", "etc/hosts"] {
            fs::copy(Path::new("/").join(file), root.join(file))?;
        }
        let pid = launch(&claim, &root, &kept)?;
        let engine = Self {
            claim,
            pid,
            _lock: lock,
        };
        wait_until(
            "the Docker engine to answer",
            STARTING,
            || run(engine.docker().arg("version")),
            |_| true,
        )
        .with_context(|| engine.last_words())?;
        engine.tidy()?;
        Ok(engine)
    }

    /// `docker`, to be given arguments. What it names lies at the same place for it if it is below
    /// [`Engine::directory`], and the project is at [`WORKSPACE`].
    #[must_use]
    pub fn docker(&self) -> Command {
        self.program("docker")
    }

    /// A program of the engine's root, such as `docker-compose`.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("DOCKER_HOST", "unix:///run/docker.sock")
            .args(["--target", &self.pid.to_string()])
            .args(["--mount", "--pid", "--root", "--wd", "--", name]);
        command
    }

    /// A folder for what a test gives to containers.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.claim.directory().join("shared")
    }

    /// The end of the engine's log, for an error.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = fs::read(self.claim.directory().join("engine.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        format!("the engine's log ends:\n{}", tail(&log, LOG_BYTES))
    }

    /// Removes what earlier runs left, and keeps what makes the next build short.
    fn tidy(&self) -> Result<()> {
        for arguments in [
            ["container", "prune", "--force"].as_slice(),
            &["volume", "prune", "--all", "--force"],
            &["image", "prune", "--force"],
            &["builder", "prune", "--force", "--keep-storage", KEPT],
        ] {
            run(self.docker().args(arguments))?;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // In order if it can: what is kept is whole either way.
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGTERM);
        let _ = wait_until(
            "the engine to end",
            ENDING,
            || Ok(process::started(self.pid)),
            Option::is_none,
        );
    }
}

/// Starts the engine in its root; gives its process id as this machine numbers it.
fn launch(claim: &Claim, root: &Path, kept: &Path) -> Result<i32> {
    let folder = claim.directory();
    let shared = folder.join("shared");
    fs::create_dir_all(&shared)?;
    let log = fs::File::create(folder.join("engine.log"))?;
    let mut child = Command::new("unshare")
        .args(["--mount", "--propagation", "slave"])
        .args(["--pid", "--fork", "--kill-child"])
        .args(["--", "/bin/sh", "-c", START, "sh"])
        .arg(root)
        .args([kept, Path::new("/var/lib/docker")])
        .args([&shared, &shared])
        .args([&workspace::root(), Path::new(WORKSPACE)])
        .args([&toolchain()?, Path::new(TOOLCHAIN)])
        .args(["--", "dockerd"])
        .args(["--host", "unix:///run/docker.sock"])
        .args(["--storage-driver", "overlay2"])
        .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
        .args(["--ip-forward=false", "--ip-masq=false"])
        .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
        .arg(format!(
            "--cgroup-parent=/{}",
            network_name(claim.number(), "docker")
        ))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start unshare")?;
    let waits = child.id();
    record_process(&folder, waits)?;
    std::thread::spawn(move || child.wait());
    let children = format!("/proc/{waits}/task/{waits}/children");
    let pid: i32 = wait_until(
        "the engine's process",
        STARTING,
        || Ok(fs::read_to_string(&children)?.trim().to_owned()),
        |pid| !pid.is_empty(),
    )?
    .parse()?;
    record_process(&folder, u32::try_from(pid)?)?;
    Ok(pid)
}

/// Where the toolchain that builds this project lies.
fn toolchain() -> Result<PathBuf> {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(sysroot.trim()))
}
