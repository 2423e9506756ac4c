# Prints what this host runs and how it is, one "name value" a line; the last line is "end".
# Changes nothing. POSIX sh; holder.sh and platform.sh come before it.

# A hung systemd must not hang the answer.
PATIENCE=10

# differs FILE: whether the booted system's FILE is another one than the running system's. Links into
# the store are compared by where they lead, because an initrd is too big to be read every minute.
differs() {
    booted=$root/run/booted-system/$1
    running=$root/run/current-system/$1
    if [ ! -e "$booted" ] || [ ! -e "$running" ]; then return 1; fi
    if [ -L "$booted" ] && [ -L "$running" ]; then
        [ "$(readlink -f "$booted")" != "$(readlink -f "$running")" ]
    else
        ! cmp -s "$booted" "$running"
    fi
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
        if differs "$reason"; then say "reboot $reason"; fi
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
    identity
    units
    switches
    space
    deployments
    echo end
}

main "$@" </dev/null
