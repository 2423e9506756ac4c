//! The scene that the program is put into: a folder with its config, its state, and the repositories of its hosts.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database;
use crate::normal::Normal;
use crate::record::folder;

/// What the program runs of others. Nix is not among them: nothing is evaluated or built.
const PROGRAMS: [&str; 3] = ["git", "ssh", "ssh-keygen"];

/// Signs the deliveries of `served.rs`.
const WEBHOOK_SECRET: &str = "a secret that everybody knows\n";

/// One folder, with nobody else in it.
#[derive(Debug)]
pub struct Scene {
    folder: TempDir,
    /// Where the daemon's pages are.
    pub operator: String,
    /// Where it hears deliveries.
    pub webhook: String,
    /// Where the hosts are that answer.
    pub sshd: String,
    /// What differs from run to run.
    pub normal: Normal,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    command: String,
    /// Its exit code.
    pub exit: i32,
    /// What it printed, with what differs from run to run replaced.
    pub stdout: String,
    /// What it complained, likewise.
    pub stderr: String,
}

impl Scene {
    /// A folder with what every config needs, and the config `fleet.toml` of a fleet without a state.
    pub fn without_state() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut normal = Normal::new(folder.path());
        let [operator, webhook, sshd] = addresses();
        normal.hide(operator.clone(), "<operator>");
        normal.hide(webhook.clone(), "<webhook>");
        let scene = Self {
            folder,
            operator,
            webhook,
            sshd,
            normal,
        };
        fs::create_dir(scene.path("bin")).unwrap();
        for program in PROGRAMS {
            symlink(find(program), scene.path("bin").join(program)).unwrap();
        }
        for file in ["ssh_config", "allowed_signers"] {
            scene.write_secret(file, written(file));
        }
        scene.write_secret("webhook-secret", WEBHOOK_SECRET);
        scene.take_config("fleet.toml");
        scene
    }

    /// The fleet in every situation, and the repositories that its hosts follow.
    pub fn new() -> Self {
        let scene = Self::without_state();
        for repository in ["infra", "vault"] {
            let bare = scene.path(&format!("{repository}.git"));
            git(Command::new("git")
                .args(["init", "--quiet", "--bare"])
                .arg(bare));
            scene.push(repository, repository);
        }
        scene.remember(&written("state.sql"));
        scene
    }

    /// Runs statements on the state.
    pub fn remember(&self, sql: &str) {
        fs::create_dir_all(self.path("state")).unwrap();
        database::run(&self.path("state/state.db"), sql);
    }

    /// Pushes the commits of `NAME.fast-import` to a repository.
    pub fn push(&self, repository: &str, name: &str) {
        let commits = fs::File::open(folder_of_scenes().join(format!("{name}.fast-import")));
        let bare = self.path(&format!("{repository}.git"));
        let mut import = Command::new("git");
        import.arg("-C").arg(bare).args(["fast-import", "--quiet"]);
        git(import.stdin(commits.unwrap()));
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the config anew, with what is particular to this folder filled in.
    pub fn write_config(&self, text: &str) {
        let folder = self.folder.path().display().to_string();
        let text = text
            .replace("@FOLDER@", &folder)
            .replace("@OPERATOR@", &self.operator)
            .replace("@WEBHOOK@", &self.webhook);
        fs::write(self.path("reconcile.toml"), text).unwrap();
    }

    /// Takes a config of `scene/`.
    pub fn take_config(&self, name: &str) {
        self.write_config(&written(name));
    }

    /// Writes a file that nobody else reads.
    pub fn write_secret(&self, name: &str, contents: impl AsRef<[u8]>) {
        let mut open = fs::OpenOptions::new();
        open.create(true).truncate(true).write(true).mode(0o600);
        let mut file = open.open(self.path(name)).unwrap();
        std::io::Write::write_all(&mut file, contents.as_ref()).unwrap();
    }

    /// The program with these words of a command line, in the folder, with nothing else in its environment.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconcile"));
        command
            .args(shlex::split(words).unwrap())
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.folder.path())
            .env("USER", "ada")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn reconcile(&self, words: &str) -> Ran {
        self.run(words, &mut self.command(words))
    }

    /// Runs a command that was made by [`Scene::command`] of these words to its end.
    pub fn run(&self, words: &str, command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| self.normal.text(std::str::from_utf8(bytes).unwrap());
        Ran {
            command: format!("reconcile {words}"),
            exit: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Runs the program to its end, once for each line of words; as on a terminal.
    pub fn transcript(&self, lines: &[&str]) -> String {
        let ran = lines.iter().map(|words| self.reconcile(words).told());
        ran.collect::<Vec<_>>().join("\n")
    }

    /// Runs the program to its end, once for each line of words, where it prints JSON.
    pub fn json(&self, lines: &[&str]) -> Value {
        let ran = lines.iter().map(|words| {
            let ran = self.reconcile(words);
            let seen = if words.starts_with("--") || words.starts_with("rollback") {
                ran.stdout.lines().map(|line| self.normal.json(line)).collect()
            } else {
                self.normal.json(&ran.stdout)
            };
            json!({ "command": ran.command, "exit": ran.exit, "stdout": seen, "stderr": ran.stderr })
        });
        ran.collect()
    }
}

impl Ran {
    /// As on a terminal.
    pub fn told(&self) -> String {
        let complaints = self.stderr.lines().map(|line| format!("stderr: {line}\n"));
        format!(
            "$ {}\n{}{}exit code: {}\n",
            self.command,
            self.stdout,
            complaints.collect::<String>(),
            self.exit
        )
    }
}

/// A file of `scene/`, as it is written.
pub fn written(name: &str) -> String {
    fs::read_to_string(folder_of_scenes().join(name)).unwrap()
}

fn folder_of_scenes() -> PathBuf {
    folder().join("scene")
}

/// Addresses of this machine that nobody else listens on: each process has its own among those of the loopback
/// interface, and each scene its own ports.
fn addresses() -> [String; 3] {
    static NEXT: AtomicU16 = AtomicU16::new(9000);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    [(); 3].map(|()| {
        format!(
            "127.77.{high}.{low}:{}",
            NEXT.fetch_add(1, Ordering::Relaxed)
        )
    })
}

/// Where a program is.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("there is no {program} in PATH"))
}

/// Runs git without what a person has configured.
fn git(command: &mut Command) {
    let output = command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", Path::new("/dev/null"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
