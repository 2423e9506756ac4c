//! The Debian package, installed on a real Debian.

use std::process::Command;

use anyhow::Result;
use xtask::chores::deb;
use xtask::fleet::Fleet;
use xtask::process::run;

use super::controller::{Controller, first_system};

#[test]
#[ignore = "long"]
fn the_package_installs_runs_its_unit_and_leaves_no_unit_behind() -> Result<()> {
    let package = deb::deb()?;
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["spare", "cyt-pi"])?;
    let (spare, target) = (&hosts[0], &hosts[1]);
    let controller = Controller::of(spare);
    controller.put(&package, "/srv/reconcile.deb")?;
    // Nothing can be fetched there, so this also shows that all it depends on is what every such host has.
    spare.console("dpkg --install /srv/reconcile.deb && rm /srv/reconcile.deb")?;
    let version = spare.console("reconcile --version")?;
    assert_eq!(
        version.trim(),
        format!("reconcile {}", env!("CARGO_PKG_VERSION"))
    );
    let asked = spare.try_console("dpkg --audit; systemctl is-enabled reconcile.service")?;
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "enabled\n");
    // It waits for its config.
    assert_eq!(controller.property("ActiveState")?, "inactive");
    assert_eq!(controller.property("ConditionResult")?, "no");

    let (_forge, repository, toplevel) = first_system(target, "by-package")?;
    controller.configure(&fleet, &repository, target)?;
    controller.start()?;
    controller.wait_until_deployed(target, &toplevel)?;
    for (shell, place) in [
        ("bash", "bash-completion/completions/reconcile"),
        ("fish", "fish/vendor_completions.d/reconcile.fish"),
        ("zsh", "zsh/vendor-completions/_reconcile"),
    ] {
        spare.console(&format!(
            "reconcile completions {shell} | cmp - /usr/share/{place}"
        ))?;
    }

    spare.console("dpkg --remove reconcile")?;
    // Debian masks the unit of a package that is removed and not purged.
    assert_eq!(controller.property("LoadState")?, "masked");
    assert_eq!(controller.property("MainPID")?, "0");
    spare.console("test -e /etc/reconcile/reconcile.toml && test -d /var/lib/reconcile")?;
    spare.console(
        "dpkg --purge reconcile && ! test -e /var/lib/reconcile && systemctl daemon-reload",
    )?;
    assert_eq!(controller.property("LoadState")?, "not-found");
    let left = spare.console(
        "find /etc/systemd /usr/lib/systemd /usr/bin /usr/share/doc -name '*reconcile*'",
    )?;
    assert_eq!(left, "");
    Ok(())
}

#[test]
#[ignore = "long"]
fn the_package_says_what_it_needs_and_has_what_it_promises() -> Result<()> {
    let package = deb::deb()?;
    let says = |what: &str| run(Command::new("dpkg-deb").arg(what).arg(&package));
    let needs = says("--field")?;
    for needed in ["git", "openssh-client", "libc6", "libssl3"] {
        assert!(needs.contains(needed), "{needed} is not in:\n{needs}");
    }
    let files = says("--contents")?;
    for file in [
        "/usr/bin/reconcile",
        "/systemd/system/reconcile.service",
        "/usr/share/doc/reconcile/examples/reconcile.toml",
        "/usr/share/doc/reconcile/systemd.md",
        "/usr/share/man/man1/reconcile-status.1.gz",
    ] {
        assert!(files.contains(file), "{file} is not in:\n{files}");
    }
    Ok(())
}
