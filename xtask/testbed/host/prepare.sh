#!/bin/sh
# Makes a plain Debian root into a host of the test bed. Runs inside the root.
set -eu
useradd --create-home --shell /bin/bash ai-worker
echo 'ai-worker ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ai-worker
chmod 0440 /etc/sudoers.d/ai-worker
rm -f /etc/machine-id /etc/hostname /etc/ssh/ssh_host_*

# ssh.socket brings sshd back after a stop; the network generator fails in a container once in a while.
systemctl mask ssh.socket systemd-network-generator.service systemd-networkd-wait-online.service
# In these containers systemd often misses that a user's own manager has ended: 2 minutes after a logout it gives up,
# which leaves a failed unit, and logins meanwhile wait for it. Nothing here needs one; sessions are made without.
systemctl mask user@.service
systemctl disable --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer || true
systemctl enable ssh.service testbed-boot.service nix-daemon.socket

# A unit on NixOS has only systemd's own programs on its PATH; Debian would hide what breaks on that.
mkdir -p /usr/lib/testbed/systemd-bin /etc/systemd/system.conf.d
for tool in journalctl loginctl systemctl systemd-analyze systemd-escape systemd-notify systemd-run systemd-tmpfiles; do
  ln -s /usr/bin/$tool /usr/lib/testbed/systemd-bin/$tool
done
printf '[Manager]\nDefaultEnvironment=PATH=/usr/lib/testbed/systemd-bin\n' > /etc/systemd/system.conf.d/testbed.conf

base=$(nix --offline build --no-link --print-out-paths 'path:/usr/lib/testbed/flake#nixosConfigurations.base.config.system.build.toplevel')
nix-env -p /nix/var/nix/profiles/system --set "$base"
ln -s "$base" /nix/var/nix/gcroots/testbed-base
echo "$base" > /etc/testbed/base
echo "$base" > /boot/testbed-default
