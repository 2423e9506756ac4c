//! What the tests share: a source repository, made by git itself, and mirrors of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use desired_state::{Access, BranchName, Mirror, MirrorSettings, Revision};

/// Enough for any fetch here, on a busy machine.
pub const AMPLE: Duration = Duration::from_secs(60);

/// A folder with a source repository, and room for mirrors.
pub struct World {
    pub root: tempfile::TempDir,
}

impl World {
    /// A source with one commit on `main`.
    pub fn new() -> Self {
        let world = Self::empty();
        world.write("flake.nix", "{ outputs = { self }: { }; }\n");
        world.commit("first");
        world
    }

    /// A source without any commit.
    pub fn empty() -> Self {
        let world = Self {
            root: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(world.source()).unwrap();
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn source(&self) -> PathBuf {
        self.path("source")
    }

    /// Runs git in the source, and gives what it prints.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.source(), arguments)
    }

    pub fn write(&self, name: &str, contents: &str) {
        let path = self.source().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    /// Commits all there is, even if nothing has changed.
    pub fn commit(&self, message: &str) -> Revision {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.revision("HEAD")
    }

    /// A forced push, as the server sees it: the last commit of the branch is replaced.
    pub fn amend(&self, message: &str) -> Revision {
        self.git(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "--amend",
            "--message",
            message,
        ]);
        self.revision("HEAD")
    }

    pub fn revision(&self, name: &str) -> Revision {
        self.git(&["rev-parse", name]).trim().parse().unwrap()
    }

    pub fn file_url(&self) -> String {
        format!("file://{}", self.source().display())
    }

    /// A mirror of the source, by `file://`.
    pub fn mirror(&self) -> Mirror {
        self.mirror_of(&self.file_url(), Access::None, AMPLE)
    }

    pub fn mirror_of(&self, url: &str, access: Access, timeout: Duration) -> Mirror {
        Mirror::open(MirrorSettings {
            directory: self.path("mirror"),
            url: url.to_owned(),
            access,
            timeout,
        })
        .unwrap()
    }
}

/// Runs git in a folder, without the configuration of whoever runs the tests.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["-c", "user.name=Tester", "-c", "user.email=tester@example"])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Bytes that nothing makes smaller (Knuth's linear congruential generator).
pub fn noise(length: usize) -> Vec<u8> {
    let next = |state: &u64| {
        Some(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        )
    };
    let states = std::iter::successors(Some(length as u64), next);
    states
        .take(length)
        .map(|state| (state >> 56) as u8)
        .collect()
}

pub fn branch(name: &str) -> BranchName {
    name.parse().unwrap()
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many living processes have this text on their command line (zombies have none).
pub fn processes_with(text: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(text))
        .count()
}
