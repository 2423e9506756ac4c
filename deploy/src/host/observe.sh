# Prints what this host runs and how it is, one "name value" a line; the last line is "end".
# Changes nothing. POSIX sh; holder.sh and platform.sh come before it.

# A hung systemd must not hang the answer.
PATIENCE=10

# specialisations_of SYSTEM…: as which specialisation of these systems the one that runs is known, a line each. Compared
# as files (test(1), -ef), so that hundreds cost no process.
specialisations_of() {
    for system; do
        for link in "$system"/specialisation/*; do
            # shellcheck disable=SC3013 # POSIX.1-2024, and every shell that is /bin/sh somewhere.
            [ "$link" -ef "$root/run/current-system" ] || continue
            system=$(readlink -f "$system")
            say "specialisation ${link##*/} ${system#"$root"}"
        done
    done
}

# differs FILE SYSTEM: whether the booted system's FILE is another one than that system's. Links into
# the store are compared by where they lead, because an initrd is too big to be read every minute.
differs() {
    booted=$root/run/booted-system/$1
    running=$2/$1
    if [ ! -e "$booted" ] || [ ! -e "$running" ]; then return 1; fi
    if [ -L "$booted" ] && [ -L "$running" ]; then
        [ "$(readlink -f "$booted")" != "$(readlink -f "$running")" ]
    else
        ! cmp -s "$booted" "$running"
    fi
}

# is_by_reboot FILE: whether a reboot brings it. Who switched to a specialisation boots the system that it is one of,
# and a kernel that only the specialisation has does not come by that.
is_by_reboot() {
    profile=$root/nix/var/nix/profiles/system
    [ -z "$(specialisations_of "$profile")" ] || differs "$1" "$profile"
}

systems() {
    for link in running:run/current-system booted:run/booted-system \
        profile:nix/var/nix/profiles/system; do
        [ -e "$root/${link#*:}" ] || continue
        target=$(readlink -f "$root/${link#*:}")
        say "${link%%:*} ${target#"$root"}"
    done
    # The profile is a link to system-N-link beside it, which is the link to the system.
    if generation=$(readlink "$root/nix/var/nix/profiles/system"); then
        case $generation in
        *system-*-link)
            generation=${generation##*system-}
            say "generation ${generation%-link}"
            ;;
        esac
    fi
    for reason in kernel initrd kernel-modules kernel-params; do
        if differs "$reason" "$root/run/current-system" && is_by_reboot "$reason"; then say "reboot $reason"; fi
    done
}

identity() {
    read -r boot <"$root/proc/sys/kernel/random/boot_id" && say "boot-id $boot"
    read -r machine 2>/dev/null <"$root/etc/machine-id" && say "machine-id $machine"
    platforms | while read -r platform; do say "platform $platform"; done
}

units() {
    say "system-state $(timeout "$PATIENCE" systemctl is-system-running 2>/dev/null)"
    timeout "$PATIENCE" systemctl list-units --state=failed --plain --no-legend --no-pager \
        2>/dev/null | head -n 50 | while read -r unit _; do say "failed-unit $unit"; done
}

switches() {
    for list in start-list restart-list reload-list; do
        if [ -s "$root/run/nixos/$list" ]; then say "unfinished $list"; fi
    done
    if who=$(holder "$switch_lock"); then say "locked $who"; fi
}

space() {
    for place in / /nix /boot; do
        if numbers=$(stat -f -c '%a %S' "$root$place" 2>/dev/null); then
            say "free $place $((${numbers% *} * ${numbers#* }))"
        fi
    done
}

# traces: the ids of the deployments that left something here, each once. A boot empties /run, and nothing else.
traces() {
    for folder in "$root"/run/reconcile/*/ "$root"/var/lib/reconcile-supervisor/*/; do
        [ -d "$folder" ] || continue
        folder=${folder%/}
        say "${folder##*/}"
    done
    for link in "$root"/nix/var/nix/gcroots/reconcile/*; do
        [ -L "$link" ] || continue
        link=${link##*/}
        say "${link%-*}"
    done
}

# Only root sees what they say of themselves.
deployments() {
    traces | sort -u | head -n 20 | while read -r id; do
        state=$(timeout "$PATIENCE" systemctl show --property=ActiveState --value \
            "reconcile-$id.service" 2>/dev/null </dev/null)
        verdict=
        for folder in run/reconcile var/lib/reconcile-supervisor; do
            [ -n "$verdict" ] || read -r verdict 2>/dev/null <"$root/$folder/$id/verdict"
        done
        say "deployment $id ${state:-unknown} $verdict"
    done
}

main() {
    systems
    # Of what boots, of what we activated last, of an earlier generation.
    specialisations_of "$root"/nix/var/nix/profiles/system "$root"/run/reconcile/.activated \
        "$root"/nix/var/nix/profiles/system-*-link | head -n 20
    identity
    units
    switches
    space
    deployments
    echo end
}

main "$@" </dev/null
