//! A host that nobody can reach: its unit holds the way open to a controller, which deploys it through there.

use std::fs;

use anyhow::{Context, Result};
use xtask::fleet::{Fleet, Host};
use xtask::process::said;
use xtask::wait::wait_until;
use xtask::workspace::{binary, root};

use super::controller::{Controller, SOON, first_system};
use super::ssh::{Guided, block_after};

/// The two ends, as the guide has them made, until this is dropped.
struct Tunnel<'a> {
    controller: &'a Host,
    host: &'a Host,
}

impl<'a> Tunnel<'a> {
    fn set_up(controller: &'a Host, host: &'a Host, guide: &str) -> Result<Self> {
        let tunnel = Self { controller, host };
        let address = controller.address.to_string();
        host.console(
            "install -d -m 755 /etc/reverse-tunnel && ssh-keygen -q -t ed25519 -N '' -f /etc/reverse-tunnel/key",
        )?;
        let file = |host: &Host, path: &str, text: &str| {
            fs::write(host.directory.join("root").join(path), text)
        };
        let known = format!("{address} {}\n", controller.host_key);
        file(host, "etc/reverse-tunnel/known_hosts", &known)?;
        let unit = fs::read_to_string(root().join("packaging/ssh/reverse-tunnel.service"))?;
        let unit = unit.replace("controller.example", &address);
        file(host, "etc/systemd/system/reverse-tunnel.service", &unit)?;

        let key = host.console("cat /etc/reverse-tunnel/key.pub")?;
        let line = block_after(guide, "with this line in its `authorized_keys`")?.trim();
        let line = line.replace("ssh-ed25519 AAAA… cyt-pi", key.trim());
        let user = fs::read_to_string(root().join("docs/behind-a-tunnel.md"))?;
        let user = block_after(&user, "A user that can do nothing but listen")?.trim();
        let rules = block_after(guide, "and in `sshd_config`")?;
        file(controller, "etc/ssh/sshd_config.d/zz-tunnel.conf", rules)?;
        controller.console(&format!(
            "{user} && install -d -m 700 -o tunnel ~tunnel/.ssh \
             && echo '{line}' > ~tunnel/.ssh/authorized_keys && sshd -t && systemctl reload ssh.service"
        ))?;
        // NixOS gives the dynamic user a name that ssh finds; this Debian has no nss-systemd, and systemd takes one that exists.
        host.console("useradd --system reverse-tunnel && systemctl daemon-reload")?;
        host.console("systemctl enable --now reverse-tunnel.service")?;
        tunnel.wait_until_open()?;
        Ok(tunnel)
    }

    fn wait_until_open(&self) -> Result<()> {
        let listens = || self.controller.console("ss -Hltn 'sport = :2222'");
        wait_until("the tunnel", SOON, listens, |said| !said.is_empty())
            .map(drop)
            .with_context(|| {
                let log = "journalctl --no-pager --lines=40 --unit=reverse-tunnel.service";
                self.host
                    .try_console(log)
                    .map_or_else(|error| error.to_string(), |output| said(&output))
            })
    }
}

impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        let _ = self.host.try_console(
            "systemctl disable --now reverse-tunnel.service; rm -rf /etc/reverse-tunnel \
             /etc/systemd/system/reverse-tunnel.service; userdel reverse-tunnel; systemctl daemon-reload",
        );
        let _ = self.controller.try_console(
            "rm -f /etc/ssh/sshd_config.d/zz-tunnel.conf; systemctl reload ssh.service; userdel --force --remove tunnel",
        );
    }
}

/// From where the guide lets the controller log in behind a tunnel.
fn from_behind_a_tunnel(guide: &str) -> Result<&str> {
    let (_, rest) = guide
        .split_once("Over a reverse tunnel the login comes from the host itself: `from=\"")
        .context("the guide does not say it")?;
    let (from, _) = rest.split_once('"').context("no end")?;
    Ok(from)
}

#[test]
#[ignore = "long"]
fn a_host_that_only_a_tunnel_leads_to_is_deployed_by_what_the_guide_says() -> Result<()> {
    let fleet = Fleet::obtain()?;
    let hosts = fleet.lease(&["spare", "cyt-pi"])?;
    let (spare, target) = (&hosts[0], &hosts[1]);
    let guide = fs::read_to_string(root().join("docs/ssh.md"))?;
    let _guided = Guided::set_up(target, &fleet, from_behind_a_tunnel(&guide)?)?;
    let controller = Controller::of(spare);
    controller.install(&binary("reconcile")?)?;
    let (_forge, repository, toplevel) = first_system(target, "by-tunnel")?;
    controller.configure(&fleet, &repository, target)?;
    let tunnel = Tunnel::set_up(spare, target, &guide)?;

    controller.write(
        "/etc/reconcile/ssh_config",
        "Host cyt-pi\n  HostName localhost\n  Port 2222\n  User reconcile-deploy\n  HostKeyAlias cyt-pi\n\
         Host *\n  IdentityFile /etc/reconcile/login-key\n  UserKnownHostsFile /etc/reconcile/hosts_known\n",
    )?;
    controller.write("/etc/reconcile/hosts_known", "")?;
    spare.console(block_after(&guide, "under that name in `hosts_known`")?)?;
    spare.console(
        "sed -i 's/^destinations = .*/destinations = [{ ssh = \"cyt-pi\", sudo = true }]/' /etc/reconcile/reconcile.toml",
    )?;
    controller.start()?;
    controller.wait_until_deployed(target, &toplevel)?;

    // The key of the tunnel is good for nothing else.
    let ssh = format!(
        "ssh -F none -o BatchMode=yes -o ExitOnForwardFailure=yes -o UserKnownHostsFile=/etc/reverse-tunnel/known_hosts \
         -i /etc/reverse-tunnel/key tunnel@{}",
        spare.address
    );
    for refused in [
        "true",
        "-N -R localhost:2223:localhost:22",
        "-N -R 0.0.0.0:2222:localhost:22",
    ] {
        let output = target.try_console(&format!("timeout 30 {ssh} {refused}"))?;
        // 124 is what timeout says of what was let in and stayed.
        let code = output.status.code();
        assert!(
            code != Some(0) && code != Some(124),
            "{refused}: {output:?}"
        );
    }

    // It comes back by itself.
    target.console("systemctl kill --signal=KILL reverse-tunnel.service")?;
    let gone = || spare.console("ss -Hltn 'sport = :2222'");
    wait_until("the dead tunnel to let go", SOON, gone, String::is_empty)?;
    tunnel.wait_until_open()
}
