#!/bin/sh
# What a person writes by hand for a fleet: one build for all hosts, then a copy and a switch of each, side by side,
# over connections that are warm. No proof, no rollback, no memory.
# usage: pipeline.sh FLAKE SSH_CONFIG CONTROL_DIRECTORY HOST:ALIAS...
set -eu
flake=$1 config=$2 control=$3
shift 3
options="-F $config -o ControlMaster=auto -o ControlPath=$control/%C -o ControlPersist=120"
export NIX_SSHOPTS="$options"

attributes=
for pair; do
    attributes="$attributes $flake#nixosConfigurations.${pair%%:*}.config.system.build.toplevel"
done
# shellcheck disable=SC2086
built=$(nix --extra-experimental-features 'nix-command flakes' build --no-link --json $attributes)

jobs=
for pair; do
    (
        host=${pair%%:*} alias=${pair#*:}
        toplevel=$(printf %s "$built" | grep -o "/nix/store/[a-z0-9]*-nixos-system-$host-[^\"]*\"" |
            grep -v '[.]drv"' | tr -d '"')
        nix --extra-experimental-features nix-command copy --no-check-sigs --to "ssh-ng://$alias" "$toplevel"
        # shellcheck disable=SC2086,SC2029
        ssh $options "$alias" "nix-env -p /nix/var/nix/profiles/system --set $toplevel &&
            $toplevel/bin/switch-to-configuration switch >/dev/null 2>&1"
    ) &
    jobs="$jobs $!"
done
for job in $jobs; do
    wait "$job"
done
