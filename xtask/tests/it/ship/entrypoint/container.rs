//! A container's file systems as folders, in which the entrypoint runs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use xtask::process::{finish, run, said};
use xtask::workspace::root;

/// Becomes the rest of its arguments where the first two folders are /nix and /etc/nix.
const COVERED: &str =
    "mount --bind \"$1\" /nix && mount --bind \"$2\" /etc/nix && shift 2 && exec \"$@\"";

/// Two paths, one of them a folder, and a profile that names them.
const CONTENT: &str = r#"derivation {
  name = "profile"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
  other = builtins.toFile "other" "of the image";
  args = [ "-euc" "mkdir -p $out/bin; for tool in /usr/bin/nix*; do ln -s $tool $out/bin/; done; ln -s $other $out/other" ];
}"#;

/// A container's file systems, as folders.
pub struct Container {
    folder: tempfile::TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl Container {
    /// With an empty /nix, of an image that has a profile.
    pub fn new() -> Result<Self> {
        let container = Self {
            // In memory: what is tried here waits for the disk again and again.
            folder: tempfile::tempdir_in("/dev/shm")?,
            variables: BTreeMap::from([("NIX_SANDBOX", "false".to_owned())]),
        };
        for name in ["nix", "conf", "bin", "built", "built-conf"] {
            fs::create_dir(container.path(name))?;
        }
        container.program("reconcile", "echo \"reconcile $*\"")?;
        fs::write(
            container.path("built-conf/nix.conf"),
            "build-users-group =\nsandbox = false\n",
        )?;
        let make_seed = format!(
            "ln -s \"$(nix-store --realise \"$(nix-instantiate --expr \"$1\")\")\" /nix/profile && {} \"$2\" /nix/profile",
            root().join("packaging/image/make-seed.sh").display()
        );
        run(container
            .covered("built", "built-conf")
            .args(["sh", "-c", &make_seed, "sh", CONTENT])
            .arg(container.path("seed")))?;
        Ok(container)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program that comes before all others.
    pub fn program(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
        Ok(fs::set_permissions(
            path,
            fs::Permissions::from_mode(0o755),
        )?)
    }

    pub fn set(&mut self, name: &'static str, value: &str) {
        self.variables.insert(name, value.to_owned());
    }

    /// Another container of the same image, with volumes that are empty.
    pub fn empty(&self) -> Result<()> {
        for name in ["nix", "conf"] {
            fs::remove_dir_all(self.path(name))?;
            fs::create_dir(self.path(name))?;
        }
        Ok(())
    }

    /// A command that sees folders of the test as /nix and /etc/nix.
    pub fn covered(&self, nix: &str, conf: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--", "sh", "-c", COVERED, "sh"])
            .args([self.path(nix), self.path(conf)]);
        command
    }

    /// Starts the container.
    pub fn start(&self, shell: &[&str], arguments: &[&str]) -> Result<Output> {
        finish(&mut self.starting(shell, arguments))
    }

    pub fn starting(&self, shell: &[&str], arguments: &[&str]) -> Command {
        let mut command = self.covered("nix", "conf");
        command
            .args(shell)
            .arg(root().join("packaging/image/entrypoint.sh"))
            .args(arguments)
            .env(
                "PATH",
                format!(
                    "{}:/usr/sbin:/usr/bin:/sbin:/bin",
                    self.path("bin").display()
                ),
            )
            .env("NIX_SEED", self.path("seed"))
            .envs(&self.variables)
            .process_group(0);
        command
    }

    /// Starts it and expects that the program is reached; gives what was said on the way.
    pub fn starts(&self, shell: &[&str]) -> Result<String> {
        let output = self.start(shell, &[])?;
        ensure!(output.status.success(), "{shell:?}: {}", said(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "reconcile serve\n");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn conf(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path("conf/nix.conf"))?)
    }

    /// Asserts that /nix has what the image has, that Nix knows it, and that it is kept.
    pub fn assert_filled(&self) -> Result<()> {
        let profile = fs::read_to_string(self.path("seed/profile"))?;
        let profile = profile.trim();
        let said = run(self.covered("nix", "conf").args(["sh", "-euc"]).arg(format!(
            "nix-store --verify --check-contents 2>&1; nix-store --query --requisites {profile}; nix-store --gc --print-roots; cat {profile}/other"
        )))?;
        assert!(!said.contains("error"), "{said}");
        assert!(
            said.contains("-other\n") && said.ends_with("of the image"),
            "{said}"
        );
        assert!(
            said.contains(&format!("/nix/var/nix/profiles/image -> {profile}")),
            "{said}"
        );
        for entry in fs::read_dir(self.path("nix/store"))? {
            let name = entry?.file_name();
            assert!(!name.to_string_lossy().contains("filling"), "{name:?}");
        }
        let mark = fs::read_to_string(self.path("nix/.reconcile-seed"))?;
        assert_eq!(mark, fs::read_to_string(self.path("seed/id"))?);
        Ok(())
    }

    /// Where a path of the image lies in /nix.
    pub fn in_store(&self, name: &str) -> Result<PathBuf> {
        for entry in fs::read_dir(self.path("seed/store"))? {
            let found = entry?.file_name().to_string_lossy().into_owned();
            if found.ends_with(name) {
                return Ok(self.path("nix/store").join(found));
            }
        }
        anyhow::bail!("the image has no {name}")
    }
}
