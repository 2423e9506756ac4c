//! The example `ssh_config`, and the least that a host has to allow.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::scene::never_built;
use anyhow::{Context, Result};
use xtask::daemon::Daemon;
use xtask::flake::System;
use xtask::fleet::{Fleet, Host};
use xtask::forge::Forge;
use xtask::process::{finish, run};
use xtask::workspace::root;

/// How long anything may take that takes some seconds on an idle machine.
const SOON: Duration = Duration::from_secs(120);

/// What `ssh` makes of an alias of the example.
fn resolved(alias: &str) -> Result<String> {
    let example = root().join("packaging/ssh/ssh_config.example");
    run(Command::new("ssh")
        .arg("-G")
        .arg("-F")
        .arg(example)
        .arg(alias))
}

#[test]
fn the_example_ssh_config_says_of_each_alias_what_it_should() -> Result<()> {
    for (alias, host_name, port, user, key) in [
        (
            "lazyworkhorse",
            "lazyworkhorse.example",
            2424,
            "reconcile-deploy",
            "login-key",
        ),
        (
            "lazyworkhorse-admin",
            "lazyworkhorse.example",
            2424,
            "root",
            "login-key",
        ),
        ("cyt-pi", "localhost", 2222, "root", "login-key"),
        ("uConsole", "uconsole.example", 22, "root", "login-key"),
        ("gitea.example", "gitea.example", 2222, "git", "deploy-key"),
    ] {
        let says = resolved(alias)?;
        for line in [
            format!("hostname {host_name}"),
            format!("port {port}"),
            format!("user {user}"),
            format!("identityfile /etc/reconcile/{key}"),
            "userknownhostsfile /etc/reconcile/hosts_known".to_owned(),
        ] {
            assert!(
                says.lines().any(|one| one == line),
                "{alias}: no `{line}` in:\n{says}"
            );
        }
    }
    assert!(resolved("cyt-pi")?.contains("hostkeyalias cyt-pi\n"));
    Ok(())
}

/// What stands in a guide between the fences after a line.
pub fn block_after<'a>(guide: &'a str, line: &str) -> Result<&'a str> {
    let (_, rest) = guide
        .split_once(line)
        .with_context(|| format!("no {line}"))?;
    let (_, rest) = rest.split_once("```").context("no block")?;
    // After the opening fence comes the language.
    let (_, rest) = rest.split_once('\n').context("no block")?;
    let (block, _) = rest.split_once("```").context("a block without an end")?;
    Ok(block)
}

#[test]
fn the_guide_shows_the_lines_for_sudo_as_they_are_shipped() -> Result<()> {
    let guide = fs::read_to_string(root().join("docs/ssh.md"))?;
    let shown = block_after(&guide, "/etc/sudoers.d/reconcile")?;
    let shipped = fs::read_to_string(root().join("packaging/ssh/sudoers.example"))?;
    let rules = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    };
    assert_eq!(rules(shown), rules(&shipped));
    Ok(())
}

/// A host that is set up as the guide says until this is dropped.
pub struct Guided<'a>(&'a Host);

impl<'a> Guided<'a> {
    /// `from` is where its key may log in from.
    pub fn set_up(host: &'a Host, fleet: &Fleet, from: &str) -> Result<Self> {
        let guide = fs::read_to_string(root().join("docs/ssh.md"))?;
        let user = block_after(&guide, "A user without a password")?;
        let key = fs::read_to_string(fleet.description().identity.with_extension("pub"))?;
        let line = block_after(&guide, "The key, in")?
            .trim()
            .replace("192.0.2.10", from)
            .replace("ssh-ed25519 AAAA… reconcile", key.trim());
        let guided = Self(host);
        host.console(user)?;
        host.console(&format!(
            "install -d -m 700 -o reconcile-deploy ~reconcile-deploy/.ssh && echo '{line}' > ~reconcile-deploy/.ssh/authorized_keys"
        ))?;
        let sudoers = fs::read(root().join("packaging/ssh/sudoers.example"))?;
        fs::write(host.directory.join("root/etc/sudoers.d/reconcile"), sudoers)?;
        host.console("chmod 0440 /etc/sudoers.d/reconcile && visudo --check --strict")?;
        Ok(guided)
    }
}

impl Drop for Guided<'_> {
    fn drop(&mut self) {
        let _ = self
            .0
            .try_console("userdel --remove reconcile-deploy; rm -f /etc/sudoers.d/reconcile");
    }
}

/// Tries what the guide does not allow to the user that it makes.
fn assert_nothing_else_is_allowed(ssh_config: &Path) -> Result<()> {
    let ssh = |arguments: &[&str]| {
        finish(
            Command::new("ssh")
                .arg("-F")
                .arg(ssh_config)
                .args(arguments),
        )
    };
    assert!(ssh(&["guided", "true"])?.status.success());
    for refused in [
        "sudo -n id",
        "sudo -n nix-store --version",
        "sudo -n -u ai-worker /bin/sh -c true",
    ] {
        assert!(!ssh(&["guided", refused])?.status.success(), "{refused}");
    }
    let terminal = ssh(&["-tt", "guided", "true"])?;
    let said = String::from_utf8_lossy(&terminal.stderr).into_owned();
    assert!(said.contains("PTY allocation request failed"), "{said}");
    let onwards = ssh(&["-W", "localhost:2424", "guided"])?;
    let said = String::from_utf8_lossy(&onwards.stderr).into_owned();
    assert!(said.contains("prohibited"), "{said}");
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_host_that_allows_what_the_guide_says_is_deployed_and_nothing_else_is_allowed() -> Result<()> {
    let fleet = Fleet::obtain()?;
    // Where Nix wants signatures from those whom it does not trust.
    let hosts = fleet.lease(&["lazyworkhorse"])?;
    let host = &hosts[0];
    let _guided = Guided::set_up(host, &fleet, &fleet.description().controller.to_string())?;
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    let mut daemon = Daemon::prepare(&forge, &repository, &[host])?;
    let ssh_config = daemon.directory().join("ssh_config");
    let known = fs::read_to_string(&fleet.description().ssh_config)?;
    let (address, port) = (host.address, host.port);
    let alias = format!(
        "Host guided\n  HostName {address}\n  Port {port}\n  User reconcile-deploy\n  HostKeyAlias lazyworkhorse\n\n"
    );
    fs::write(&ssh_config, alias + &known)?;
    daemon.config.ssh_config = ssh_config.clone();
    *daemon.config.host("lazyworkhorse") =
        "destinations = [{ ssh = \"guided\", sudo = true }]".to_owned();
    repository.deploy(
        "main",
        "First",
        &[("lazyworkhorse", System::new("guided-1"))],
    )?;
    daemon.start()?;
    for (reloads, version, build_on) in [(1.0, "guided-2", "here"), (2.0, "guided-3", "target")] {
        *daemon.config.host("lazyworkhorse") = format!(
            "destinations = [{{ ssh = \"guided\", sudo = true }}]\nbuild_on = \"{build_on}\""
        );
        daemon.rewrite_config()?;
        // A push that is heard before would still be built in the way of before.
        let labels = [("result", "reloaded")];
        let taken_up = |count| count >= reloads;
        daemon.wait_for_metric("reconcile_config_reloads_total", &labels, SOON, taken_up)?;
        let system = never_built(version)?;
        let revision = repository.deploy("main", version, &[("lazyworkhorse", system)])?;
        let toplevel = repository.evaluated("lazyworkhorse", &revision)?;
        daemon.wait_until_running(host, &toplevel, SOON)?;
        let is_here = Path::new(&toplevel).exists();
        assert_eq!(is_here, build_on == "here", "{toplevel}");
    }
    let rolled = daemon.cli(&["rollback", "--host", "lazyworkhorse"])?;
    assert!(rolled.status.success(), "{rolled:?}");

    assert_nothing_else_is_allowed(&ssh_config)
}
