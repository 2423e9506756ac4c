//! The hosts of the test bed behave as the product's tests take for granted.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xtask::flake::{Cut, Exit, Hang, Lock, Marker, System};
use xtask::fleet::{Fleet, Host, Lease, count_begun};
use xtask::forge::{Forge, Repository};
use xtask::process::{finish, run};

/// A host, and a repository with systems for it; dropped in this order.
struct Bench {
    repository: Repository,
    _forge: Forge,
    host: Lease,
    _fleet: Arc<Fleet>,
}

/// A host as it was made, and an empty repository.
fn bench(name: &str) -> Result<Bench> {
    let fleet = Fleet::obtain()?;
    let host = fleet.host(name)?.lease()?;
    let forge = Forge::start()?;
    Ok(Bench {
        repository: forge.create("infra-team/infra")?,
        _forge: forge,
        host,
        _fleet: fleet,
    })
}

impl Bench {
    /// Builds a system.
    fn build(&self, system: System) -> Result<String> {
        let name = &self.host.name;
        self.repository.write_systems(&[(name, system)])?;
        let revision = self.repository.commit("A system")?;
        self.repository.toplevel(name, &revision)
    }

    /// Copies a toplevel to a host by hand, over a login by this alias.
    fn copy(&self, toplevel: &str, alias: &str) -> Command {
        let ssh = format!("-F {}", self.host.ssh_config.display());
        let store = format!("ssh://{alias}");
        let mut copy = Command::new("nix");
        copy.env("NIX_SSHOPTS", ssh)
            .args(["copy", "--no-check-sigs", "--to", &store, toplevel]);
        copy
    }

    /// Builds a system and copies it to the host.
    fn put(&self, system: System) -> Result<String> {
        let toplevel = self.build(system)?;
        run(&mut self.copy(&toplevel, &self.host.root_alias))?;
        Ok(toplevel)
    }
}

/// Logs in as root, and waits for an answer no longer than a second.
fn log_in_at_once(host: &Host) -> Result<Output> {
    finish(Command::new("ssh").arg("-F").arg(&host.ssh_config).args([
        "-o",
        "ConnectTimeout=1",
        &host.root_alias,
        "true",
    ]))
}

/// Runs a toplevel's `switch-to-configuration`, which is to end with this code.
fn activate(host: &Host, toplevel: &str, action: &str, code: i32) -> Result<()> {
    let line =
        format!("{toplevel}/bin/switch-to-configuration {action} < /dev/null > /dev/null 2>&1");
    let ended = host.try_console(&line)?.status.code();
    ensure!(
        ended == Some(code),
        "{action} of {toplevel} ended with {ended:?}: {:#?}\n{}",
        host.activations()?,
        host.console("journalctl --no-pager --lines 30 --unit testbed-marker")?
    );
    Ok(())
}

#[test]
fn hosts_are_reached_as_two_users_and_their_units_inherit_only_systemds_programs() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["lazyworkhorse"])?;
    let host = &hosts[0];
    assert_eq!(host.ssh("id -un")?.trim(), "root");
    assert_eq!(
        host.ssh_as("lazyworkhorse", "id -un; sudo -n id -un")?,
        "ai-worker\nroot\n"
    );
    assert_eq!(host.ssh("systemctl is-system-running")?.trim(), "running");
    let unit = "systemd-run --quiet --pipe --wait /bin/sh -c";
    assert!(host.ssh(&format!("{unit} 'command -v systemctl'")).is_ok());
    assert!(host.ssh(&format!("{unit} 'command -v readlink'")).is_err());
    // The current system's own programs are what such a unit is left with.
    assert!(host.ssh(&format!("{unit} 'PATH=/run/current-system/sw/bin; readlink -f / && nix-env --version && flock --version'")).is_ok());
    Ok(())
}

#[test]
fn a_host_has_control_groups_of_its_own_and_so_units_that_no_other_host_removes() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["spare", "uConsole"])?;
    for host in &hosts {
        let init = host.init()?.context("a host that is off")?;
        let groups = std::fs::read_to_string(format!("/proc/{init}/cgroup"))?;
        let named: Vec<_> = groups
            .lines()
            .filter(|line| line.contains("/payload/"))
            .collect();
        assert!(!named.is_empty(), "{groups}");
        for line in named {
            assert!(line.contains(&format!("-{}/payload/", host.name)), "{line}");
        }
    }
    Ok(())
}

#[test]
fn an_untrusted_user_cannot_copy_unsigned_paths_to_the_host_that_wants_signatures() -> Result<()> {
    let bench = bench("lazyworkhorse")?;
    let toplevel = bench.build(System::new("unsigned"))?;
    let mut copy = bench.copy(&toplevel, &bench.host.worker_alias);
    assert!(!finish(&mut copy)?.status.success());
    Ok(())
}

#[test]
fn a_switch_moves_the_system_its_unit_and_the_boot_default_and_a_power_cut_keeps_them() -> Result<()>
{
    let bench = bench("spare")?;
    let host = &bench.host;
    let tested = bench.put(System::new("tested"))?;
    activate(host, &tested, "test", 0)?;
    assert_eq!(
        (host.running_toplevel()?, host.marker()?),
        (tested.clone(), Some("tested".to_owned()))
    );
    assert_eq!(host.boot_default()?, host.base_toplevel);
    host.power_cut()?;
    assert!(!host.is_on()?);
    host.power_on()?;
    assert_eq!(host.running_toplevel()?, host.base_toplevel);

    host.console(&format!(
        "nix-env -p /nix/var/nix/profiles/system --set {tested}"
    ))?;
    activate(host, &tested, "boot", 0)?;
    assert_eq!(host.running_toplevel()?, host.base_toplevel);
    host.power_cut()?;
    host.power_on()?;
    host.wait_for_login()?;
    assert_eq!(
        (host.running_toplevel()?, host.booted_toplevel()?),
        (tested.clone(), tested.clone())
    );
    let log = host.activations()?;
    assert_eq!(
        (
            count_begun(&log, "test", &tested),
            count_begun(&log, "boot", &tested)
        ),
        (1, 1)
    );
    host.reset()?;
    assert_eq!(host.booted_toplevel()?, host.base_toplevel);
    Ok(())
}

#[test]
fn a_reset_restores_users_what_they_may_and_programs_of_systems() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["cyt-pi"])?;
    let host = &hosts[0];
    let program = format!("{}/bin/switch-to-configuration", host.base_toplevel);
    let look = format!(
        "cat /etc/nix/nix.conf /etc/group; id -Gn ai-worker; sudo -l -U ai-worker; cmp /bin/false {program} | wc -c"
    );
    let before = host.console(&look)?;
    host.console(&format!(
        "set -e; echo 'extra-trusted-public-keys = x' >> /etc/nix/nix.conf; usermod -aG nix-users ai-worker; \
         useradd somebody; echo 'ai-worker ALL=(ALL) !/usr/bin/id' > /etc/sudoers.d/zz-test; \
         mount --bind /bin/false {program}; mount --bind /bin/false {program}"
    ))?;
    assert_ne!(host.console(&look)?, before);
    host.reset()?;
    assert_eq!(host.console(&look)?, before);
    Ok(())
}

#[test]
fn exit_codes_come_with_what_they_mean_for_the_host() -> Result<()> {
    let bench = bench("uConsole")?;
    let host = &bench.host;
    let base = host.base_toplevel.clone();
    for (exit, code, moves) in [
        (Exit::ChecksRefuse, 1, false),
        (Exit::BusIsGone, 1, false),
        (Exit::NeedsReboot, 100, false),
        (Exit::ActivationFails, 2, true),
        (Exit::UserFails, 4, true),
        (Exit::LosesLogind, 11, true),
        (Exit::Panics, 101, true),
    ] {
        host.reset()?;
        let toplevel = bench.put(System {
            exit,
            ..System::new(&format!("exit-{code}"))
        })?;
        activate(host, &toplevel, "test", code)?;
        assert_eq!(
            host.running_toplevel()?,
            if moves { toplevel } else { base.clone() },
            "{exit:?}"
        );
    }
    // The panic came between stopping and starting units: they are on the list, and the next run takes them up.
    assert_eq!(
        host.console("cat /run/nixos/start-list")?.trim(),
        "multi-user.target\ntestbed-marker.service"
    );
    assert_eq!(host.marker()?, None, "{:#?}", host.activations()?);
    let good = bench.put(System::new("good"))?;
    activate(host, &good, "test", 0)?;
    assert_eq!(host.marker()?.as_deref(), Some("good"));
    Ok(())
}

#[test]
fn failed_units_inhibitors_and_a_new_init_interface_are_noticed_by_themselves() -> Result<()> {
    let bench = bench("uConsole")?;
    let host = &bench.host;
    let failing = bench.put(System {
        marker: Marker::Fails,
        ..System::new("failing")
    })?;
    activate(host, &failing, "test", 4)?;
    assert!(
        host.console("systemctl --failed --no-legend")?
            .contains("testbed-marker")
    );
    let one = bench.put(System {
        inhibitors: "{\"dbus\":\"one\"}".to_owned(),
        ..System::new("one")
    })?;
    let two = bench.put(System {
        inhibitors: "{\"dbus\":\"two\"}".to_owned(),
        ..System::new("two")
    })?;
    activate(host, &one, "test", 0)?;
    activate(host, &two, "test", 1)?;
    activate(host, &two, "boot", 0)?;
    let other = bench.put(System {
        init_interface: "systemd 300".to_owned(),
        ..System::new("other")
    })?;
    activate(host, &other, "test", 100)?;
    assert_eq!(host.running_toplevel()?, one);
    Ok(())
}

#[test]
fn one_kind_of_activation_waits_for_the_lock_and_the_other_exits_11() -> Result<()> {
    let bench = bench("spare")?;
    let host = &bench.host;
    let waiting = bench.put(System::new("waiting"))?;
    let failing = bench.put(System {
        lock: Lock::Fail,
        ..System::new("failing")
    })?;
    host.console("mkdir -p /run/nixos; systemd-run --quiet /usr/bin/flock /run/nixos/switch-to-configuration.lock /usr/bin/sleep 2")?;
    host.console(
        "until ! flock -n /run/nixos/switch-to-configuration.lock true; do sleep 0.05; done",
    )?;
    activate(host, &failing, "test", 11)?;
    assert_eq!(host.running_toplevel()?, host.base_toplevel);
    activate(host, &waiting, "test", 0)?;
    assert_eq!(host.running_toplevel()?, waiting);
    Ok(())
}

#[test]
fn whatever_a_bad_system_cuts_is_noticed_outside_and_put_right_by_a_good_one() -> Result<()> {
    let bench = bench("uConsole")?;
    let host = &bench.host;
    for cut in [Cut::Link, Cut::Address, Cut::Firewall, Cut::Sshd, Cut::Keys] {
        let bad = bench.put(System {
            cut: Some(cut),
            ..System::new(&format!("{cut:?}"))
        })?;
        activate(host, &bad, "test", 0)?;
        let login = log_in_at_once(host)?;
        assert!(!login.status.success(), "{cut:?} lets one in");
        let base = host.base_toplevel.clone();
        activate(host, &base, "test", 0)?;
        host.wait_for_login()?;
    }
    Ok(())
}

#[test]
fn a_hung_activation_keeps_the_lock_and_a_reset_ends_it() -> Result<()> {
    let bench = bench("spare")?;
    let host = &bench.host;
    let bad = bench.put(System {
        hang: Some(Hang::Stop),
        ..System::new("hung")
    })?;
    host.console(&format!(
        "systemd-run --quiet --unit=reconcile-hung {bad}/bin/switch-to-configuration test"
    ))?;
    xtask::wait::wait_until(
        "the hang",
        Duration::from_secs(10),
        || host.activations(),
        |log| log.iter().any(|one| one.event == "hang stop"),
    )?;
    assert!(
        !host
            .try_console("flock -n /run/nixos/switch-to-configuration.lock true")?
            .status
            .success()
    );
    host.reset()?;
    assert_eq!(
        host.console("systemctl list-units --all --no-legend 'reconcile-*'")?,
        ""
    );
    assert!(host.activations()?.is_empty());
    Ok(())
}

#[test]
fn an_unplugged_host_loses_packets_but_not_itself() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["cyt-pi"])?;
    let host = &hosts[0];
    host.cut_network()?;
    let start = Instant::now();
    let login = log_in_at_once(host)?;
    assert!(!login.status.success() && start.elapsed() >= Duration::from_millis(900));
    assert_eq!(host.console("cat /etc/hostname")?.trim(), "cyt-pi");
    host.restore_network()?;
    host.wait_for_login()
}

#[test]
fn distance_makes_round_trips_longer() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let far = fleet.far_away(Duration::from_millis(60))?;
    let start = Instant::now();
    run(Command::new("ssh")
        .arg("-F")
        .arg(far.ssh_config())
        .args(["cyt-pi", "true"]))?;
    // A login is never done in fewer than five round trips.
    assert!(
        start.elapsed() >= Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );
    Ok(())
}
