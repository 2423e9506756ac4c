//! What this machine needs before hosts can run on it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{self, CACHE};
use crate::process::{finish, run};

/// What the test bed runs, and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("apt-get", "apt"),
    ("busybox", "busybox"),
    ("dash", "dash"),
    ("git", "git"),
    ("gpg", "gpg"),
    ("gpg-agent", "gpg-agent"),
    ("gpgv", "gpgv"),
    ("ip", "iproute2"),
    ("mmdebstrap", "mmdebstrap"),
    ("mount", "mount"),
    ("nix", "nix-bin"),
    ("nsenter", "util-linux"),
    ("pkg-config", "pkg-config"),
    ("shellcheck", "shellcheck"),
    ("ssh", "openssh-client"),
    ("sshd", "openssh-server"),
    ("systemd-nspawn", "systemd-container"),
];

/// What making packages runs.
const PACKAGING_PROGRAMS: &[(&str, &str)] = &[
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("make", "make"),
    ("perl", "perl"),
    ("pip3", "python3-pip"),
    ("pkg-config", "pkg-config"),
];

/// What only the long suite runs besides.
const LONG_PROGRAMS: &[(&str, &str)] = &[
    ("arch-test", "arch-test"),
    ("go", "golang-go"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("readelf", "binutils"),
];

/// Services that come with those packages. Tests run the programs by themselves.
const SERVICES: &[(&str, &str)] = &[("prometheus", "prometheus.service")];

/// What Debian's packages ask before they start a service (invoke-rc.d(8)).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Ours, which may be left over from a run that was killed.
const OUR_POLICY: &str =
    "#!/bin/sh\n# Written by `cargo xtask` while it installs packages.\nexit 101\n";

/// What has no program to look for: a file tells.
const FILES: &[(&str, &str)] = &[("/usr/include/openssl/ssl.h", "libssl-dev")];

/// Settings that Nix on this machine needs, in a file that its nix.conf includes.
const NIX_SETTINGS: &str = "# Written by `cargo xtask`: the test bed's toplevels are built here, alone and without a cache.\n\
experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\nsubstituters =\n";

/// Makes this machine able to run hosts; installs what is missing, on Debian as root.
///
/// # Errors
/// One sentence, before anything is changed, where this is not Debian or not root.
pub fn bootstrap() -> Result<()> {
    require_root()?;
    provide(PROGRAMS)?;
    settle_nix()
}

/// Also what the tests marked `#[ignore = "long"]` run.
///
/// # Errors
/// As [`bootstrap`].
pub fn bootstrap_long() -> Result<()> {
    bootstrap()?;
    bootstrap_packaging()?;
    provide(LONG_PROGRAMS)
}

/// What makes packages. Root is needed only where something is missing.
///
/// # Errors
/// As [`bootstrap`], where something is missing.
pub fn bootstrap_packaging() -> Result<()> {
    provide(PACKAGING_PROGRAMS)
}

fn provide(programs: &[(&str, &'static str)]) -> Result<()> {
    let missing = missing_packages(programs);
    if !missing.is_empty() {
        ensure!(
            require_root().is_ok(),
            "{} of Debian's packages is missing: install it, or run this as root on Debian",
            missing.join(" ")
        );
        // apt-get does not wait for another, and the policy is one file.
        let _lock = cache::lock(&Path::new(CACHE).join("bootstrap.lock"))?;
        without_services(Path::new(POLICY), || install(&missing))?;
        leave_disabled(&missing);
        let still = missing_packages(programs);
        if !still.is_empty() {
            bail!("apt-get installed nothing that gives {}", still.join(" "));
        }
    }
    Ok(())
}

/// Fails where hosts cannot run.
///
/// # Errors
/// One sentence that says what is needed.
pub fn require_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "the test bed boots hosts in namespaces of this machine and needs root: run it as root on Debian"
        );
    }
    if !Path::new("/etc/debian_version").exists() {
        bail!(
            "the test bed makes its hosts with Debian's mmdebstrap and needs Debian: run it in a Debian machine or container"
        );
    }
    Ok(())
}

/// Lets the kernel watch as many files for us as hosts need: each host's systemd takes 4 to 6 inotify instances, and
/// the usual 128 a user are used up by six fleets, of which a seventh does not boot.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_limits() -> Result<()> {
    const SETTING: &str = "/proc/sys/fs/inotify/max_user_instances";
    const ENOUGH: u32 = 1024;
    let now: u32 = fs::read_to_string(SETTING)?.trim().parse()?;
    if now < ENOUGH {
        fs::write(SETTING, ENOUGH.to_string())
            .with_context(|| format!("cannot raise {SETTING} from {now} to {ENOUGH}"))?;
    }
    Ok(())
}

fn missing_packages(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    let programs = programs
        .iter()
        .filter(|(program, _)| !is_on_path(program))
        .map(|(_, package)| *package);
    let files = FILES
        .iter()
        .filter(|(file, _)| !has_header(file))
        .map(|(_, package)| *package);
    programs.chain(files).collect()
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders.iter().any(|folder| folder.join(program).is_file())
}

fn has_header(file: &str) -> bool {
    Path::new(file).exists()
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["--yes", "--quiet"]);
        command
    };
    // A machine may never have read its lists, or read them long ago: try what is there, then read them once.
    let first = finish(
        apt()
            .args(["install", "--no-install-recommends"])
            .args(packages),
    )?;
    if !first.status.success() {
        run(apt().arg("update"))?;
        run(apt()
            .args(["install", "--no-install-recommends"])
            .args(packages))?;
    }
    Ok(())
}

/// Lets no package start a service meanwhile: a port that a service takes is one that a test of somebody's misses.
fn without_services(policy: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let is_theirs = fs::read_to_string(policy).is_ok_and(|text| text != OUR_POLICY);
    if !is_theirs {
        fs::write(policy, OUR_POLICY)?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
    }
    let installed = install();
    if !is_theirs {
        fs::remove_file(policy)?;
    }
    installed
}

/// Nor at the next boot, where it is we who have brought the package.
fn leave_disabled(packages: &[&str]) {
    for (package, unit) in SERVICES {
        if packages.contains(package) {
            // Where there is no systemctl, there is nobody to start it either.
            let _ = finish(Command::new("systemctl").args(["disable", unit]));
        }
    }
}

/// Lets Nix work as root without build users and without a cache that cannot be reached.
fn settle_nix() -> Result<()> {
    let folder = Path::new("/etc/nix");
    fs::create_dir_all(folder)?;
    fs::write(folder.join("reconcile-testbed.conf"), NIX_SETTINGS)?;
    let conf = folder.join("nix.conf");
    let text = fs::read_to_string(&conf).unwrap_or_default();
    let include = "!include reconcile-testbed.conf";
    if !text.lines().any(|line| line == include) {
        fs::write(&conf, format!("{text}\n{include}\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_service_starts_meanwhile_and_a_policy_of_ours_does_not_stay() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let policy = folder.path().join("policy-rc.d");
        for left_over in [None, Some(OUR_POLICY)] {
            if let Some(text) = left_over {
                fs::write(&policy, text)?;
            }
            without_services(&policy, || {
                let refusal = finish(Command::new("sh").arg(&policy))?;
                assert_eq!(refusal.status.code(), Some(101));
                Ok(())
            })?;
            assert!(!policy.exists());
        }
        Ok(())
    }

    #[test]
    fn a_policy_of_the_machines_own_stays_as_it_is() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let policy = folder.path().join("policy-rc.d");
        let theirs = "#!/bin/sh\nexit 101\n";
        fs::write(&policy, theirs)?;
        without_services(&policy, || Ok(()))?;
        assert_eq!(fs::read_to_string(&policy)?, theirs);
        Ok(())
    }
}
