//! The images that the project's Dockerfile begins with, made from Debian's packages and this machine's toolchain,
//! because no registry of images is needed to test it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{Engine, TOOLCHAIN, WORKSPACE};
use crate::fleet::layers;
use crate::process::{run, run_with_input};

/// What the Dockerfile calls its bases.
const DEBIAN: &str = "debian:trixie-slim";
const RUST: &str = "rust:1.95-slim-trixie";

/// As Debian makes its slim image: the required packages and apt, without documentation and translations, also of
/// what is installed later.
const SLIM: &[&str] = &[
    "--variant=minbase",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
];

/// Where Debian looks for certificates of one's own; whoever builds behind a proxy has them in their base image.
const CERTIFICATES: &str = "usr/local/share/ca-certificates";

/// As the image of that name: a compiler for C, and Rust, here the machine's own.
const RUST_DOCKERFILE: &str = "FROM debian:trixie-slim\n\
    RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev && rm -rf /var/lib/apt/lists/*\n\
    COPY bin /usr/local/rust/bin\n\
    COPY lib /usr/local/rust/lib\n\
    ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";

impl Engine {
    /// Builds the project's own Dockerfile, as anybody would, and names the image.
    ///
    /// # Errors
    /// When the build fails; the error holds the end of what it said.
    pub fn build_image(&self, name: &str) -> Result<()> {
        self.provide_debian()?;
        self.build(RUST, RUST_DOCKERFILE, TOOLCHAIN)?;
        let dockerfile = fs::read_to_string(crate::workspace::root().join("Dockerfile"))?;
        self.build(name, &dockerfile, WORKSPACE)
    }

    /// Builds a Dockerfile with a folder of the engine's.
    ///
    /// # Errors
    /// As [`Engine::build_image`].
    pub fn build(&self, name: &str, dockerfile: &str, folder: &str) -> Result<()> {
        run_with_input(
            self.docker()
                .args(["build", "--network", "host", "--progress", "plain"])
                .args(["--tag", name, "--file", "-", folder]),
            dockerfile.as_bytes(),
        )
        .map(drop)
    }

    fn provide_debian(&self) -> Result<()> {
        let root = layers::debian_with("image", SLIM)?;
        // Named by its recipe's hash, so that another recipe is another image.
        let recipe = root.parent().and_then(Path::file_name);
        let recipe = recipe
            .context("a layer without a name")?
            .to_string_lossy()
            .into_owned();
        let own = format!("reconcile-testbed:{recipe}");
        let known = self.docker().args(["image", "inspect", &own]).output()?;
        if !known.status.success() {
            self.import(&root, &own)?;
        }
        run(self.docker().args(["tag", &own, DEBIAN])).map(drop)
    }

    /// Imports a root, with the certificates that this machine trusts besides Debian's.
    fn import(&self, root: &Path, name: &str) -> Result<()> {
        let mut tar = Command::new("tar");
        tar.args(["--create", "--numeric-owner", "--directory"])
            .arg(root)
            .arg(".");
        if Path::new("/").join(CERTIFICATES).is_dir() {
            tar.args(["--directory", "/", CERTIFICATES]);
        }
        let mut tar = tar.stdout(Stdio::piped()).spawn()?;
        let stdout = tar.stdout.take().context("tar without an output")?;
        let imported = self
            .docker()
            .args(["import", "--change", "CMD [\"bash\"]", "-", name])
            .stdin(stdout)
            .output()?;
        ensure!(tar.wait()?.success(), "tar failed");
        ensure!(
            imported.status.success(),
            "docker import failed: {}",
            crate::process::said(&imported)
        );
        Ok(())
    }
}
