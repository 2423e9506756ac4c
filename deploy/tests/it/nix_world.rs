//! A flake in a git repository, its mirror, and a real Nix to evaluate and build it here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::{
    Attribute, BuildOn, BuildRequest, Evaluated, FlakeSource, InputAccess, Nix, NixSettings,
};
use xtask::git::Git;

/// How long anything that must happen may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Builds work as root without build users, without a sandbox, and without a network.
pub const CONFIGURATION: &str = "build-users-group =\nsandbox = false\nsubstituters =\nbuilders =\nconnect-timeout = 2\ndownload-attempts = 1\n";

pub struct World {
    pub folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("deploy-nix")
            .tempdir()
            .unwrap();
        let world = Self { folder };
        fs::create_dir_all(world.path("work")).unwrap();
        fs::create_dir_all(world.path("mirror")).unwrap();
        git(&world.path("work"), &["init", "-q", "-b", "main"]);
        // As the mirror is made: nothing checked out, and a HEAD that names no branch it has.
        git(
            &world.path("mirror"),
            &["init", "-q", "--bare", "-b", "nothing-here", ".git"],
        );
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Commits files on a branch of their own that the mirror gets.
    pub fn commit(&self, files: &[(&str, &str)]) -> FlakeSource {
        let work = self.path("work");
        for (name, text) in files {
            let file = work.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "--allow-empty", "-m", "change"]);
        let revision = git(&work, &["rev-parse", "HEAD"]);
        let branch = format!("HEAD:refs/heads/b-{}", &revision[..8]);
        git(
            &work,
            &[
                "push",
                "-q",
                &self.path("mirror/.git").to_string_lossy(),
                &branch,
            ],
        );
        FlakeSource {
            mirror: self.path("mirror"),
            folder: ".".into(),
            revision,
        }
    }

    pub fn settings(&self) -> NixSettings {
        NixSettings {
            gc_roots: self.path("roots"),
            ssh_config: None,
            access: InputAccess::None,
            secret_key: None,
            scratch: self.path("scratch"),
            cache: self.path("cache"),
        }
    }

    pub fn nix(&self) -> Nix {
        self.nix_with(self.settings())
    }

    pub fn nix_with(&self, settings: NixSettings) -> Nix {
        Nix::new(settings).configured(CONFIGURATION)
    }
}

/// Runs git as somebody, and gives what it prints.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    Git::new(folder).run(arguments).unwrap()
}

/// A flake whose hosts are given as Nix code for their toplevels.
pub fn flake(hosts: &[(&str, &str)]) -> String {
    let hosts: String = hosts
        .iter()
        .map(|(name, toplevel)| format!("\"{name}\".config.system.build.toplevel = {toplevel};\n"))
        .collect();
    format!("{{ outputs = {{ self }}: {{ nixosConfigurations = {{\n{hosts}}}; }}; }}\n")
}

/// A toplevel that this script builds; two scripts never make the same.
pub fn built_by(script: &str) -> String {
    built_for(&system(), script)
}

/// The same for another system.
pub fn built_for(system: &str, script: &str) -> String {
    format!(
        "derivation {{ name = \"nixos-system-test\"; system = \"{system}\"; builder = \"/bin/sh\"; \
         PATH = \"/bin:/usr/bin\"; salt = \"{}\"; args = [ \"-c\" ''{script}'' ]; }}",
        unique()
    )
}

/// This machine, as Nix calls it.
pub fn system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let time = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos();
    format!(
        "{time}-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

pub fn attribute(name: &str) -> Attribute {
    name.parse().unwrap()
}

pub fn request(source: &FlakeSource, evaluated: &Evaluated) -> BuildRequest {
    BuildRequest {
        host: "cyt-pi".into(),
        revision: source.revision.clone(),
        evaluated: evaluated.clone(),
        on: BuildOn::Here,
        timeout: PATIENCE,
    }
}

/// Evaluates one host that must evaluate.
pub async fn evaluated(nix: &Nix, source: &FlakeSource, name: &str) -> Evaluated {
    let mut answers = nix.evaluate(source, &[attribute(name)], PATIENCE).await;
    answers.remove(&attribute(name)).unwrap().unwrap()
}

/// Waits for something to become true.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            std::time::Instant::now() < deadline,
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
