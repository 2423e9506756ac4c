# Deletes old generations of the system profile, and then what nothing in the store needs. POSIX sh; holder.sh comes before
# it. Words: the age in seconds below which a generation stays, how many of the newest stay, how many seconds collecting may
# take, the time, and then systems whose generations stay.
#
# Answers "locked WHO", or "deleted NUMBER", "failed STEP CODE", "says LINE" and "end".

base=$root/run/reconcile
profiles=$root/nix/var/nix/profiles
profile=$profiles/system
# Systems whose generations are gone and whose entries in the boot menu may be there still: they stay in the store until
# the menu is renewed, so that no entry of it leads to nothing.
retired=$root/nix/var/nix/gcroots/reconcile-retired
# What the last step said.
said=$base/collection
# Writing a boot menu takes seconds, on an SD card a minute.
MENU_SECONDS=240
# Nix only makes and removes links then.
DELETE_SECONDS=60

# resolve LINK: where a chain of links ends.
resolve() {
    [ -e "$1" ] || return 1
    target=$(readlink -f "$1") && say "${target#"$root"}"
}

# fail STEP CODE: tells of it, and what was said.
fail() {
    say "failed $*"
    tail -n 5 "$said" | while read -r line; do say "says $line"; done
}

# systems_that_stay SYSTEM…: one a line.
systems_that_stay() {
    for link in run/current-system run/booted-system nix/var/nix/profiles/system; do
        resolve "$root/$link"
    done
    printf '%s\n' "$@"
}

# boot_defaults: the generations that systemd-boot may boot by itself, by its file and by its variables of EFI
# (LoaderEntryDefault, LoaderEntryOneShot; systemd-boot(7)).
boot_defaults() {
    {
        for place in boot boot/efi efi; do
            sed -n 's/^default[[:space:]]//p' "$root/$place/loader/loader.conf" 2>/dev/null
        done
        for variable in "$root"/sys/firmware/efi/efivars/LoaderEntry[DO]*; do
            if [ -e "$variable" ]; then tr -d '\000' <"$variable" && echo; fi
        done
    } | sed -n 's/.*nixos-generation-\([0-9]*\).*/\1/p'
}

# generations: their numbers, the newest first.
generations() {
    for link in "$profile"-*-link; do
        number=${link#"$profile"-}
        number=${number%-link}
        case $number in
        '' | *[!0-9]*) ;;
        *) if [ -L "$link" ]; then say "$number"; fi ;;
        esac
    done | sort -rn
}

# doomed SYSTEM…: the generations that may go.
doomed() {
    systems=$(systems_that_stay "$@")
    defaults=$(boot_defaults)
    current=$(readlink "$profile")
    rank=0
    for number in $(generations); do
        rank=$((rank + 1))
        link=$profile-$number-link
        age=$((now - $(stat -c %Y "$link")))
        if [ "$rank" -le "$keep_newest" ] || [ "$age" -lt "$keep_seconds" ] ||
            [ "${current##*/}" = "system-$number-link" ]; then
            continue
        fi
        system=$(resolve "$link") || system=none
        if say "$systems" | grep -qxF "$system" || say "$defaults" | grep -qxF "$number"; then
            continue
        fi
        say "$number"
    done
}

# retire SYSTEM…: deletes the generations that may go, and keeps their systems for now.
retire() {
    numbers=$(doomed "$@")
    if [ -z "$numbers" ]; then
        say 'deleted 0' >&3
        return 0
    fi
    mkdir -p "$retired" || return
    for number in $numbers; do
        if system=$(resolve "$profile-$number-link"); then
            ln -sfn "$system" "$retired/$number" || return
        fi
    done
    # shellcheck disable=SC2086
    timeout "$DELETE_SECONDS" nix-env -p "$profile" --delete-generations $numbers || return
    say "deleted $(say "$numbers" | wc -l)" >&3
}

# renew_menu: writes the boot menu of the system that is the boot default already, without the entries of generations that
# are gone.
renew_menu() {
    for link in "$retired"/*; do
        if [ -L "$link" ]; then break; fi
        return 0
    done
    system=$(resolve "$profile") || return
    timeout "$MENU_SECONDS" "$root$system/bin/switch-to-configuration" boot || return
    if [ -d "$root/boot" ]; then sync -f "$root/boot" || sync; fi
    rm -rf "${retired:?}"
}

# step NAME COMMAND…: runs one step, whose failure is told and does not keep the next from being tried.
step() {
    name=$1
    shift
    "$@" 3>&1 >"$said" 2>&1 8>&- || fail "$name" "$?"
}

collect() {
    timeout "$seconds" nix-store --gc
}

main() {
    keep_seconds=$1 keep_newest=$2 seconds=$3 now=$4
    shift 4
    # A clock that runs ahead makes everything old.
    here=$(date +%s)
    if [ "$here" -lt "$now" ]; then now=$here; fi
    umask 077
    mkdir -p "$base" || return
    # The lock of deployments: none begins while it is held, and this does not begin while one is at work.
    exec 8>>"$base/lock"
    if ! flock -n 8; then
        say "locked $(cat "$base/lock")"
        return
    fi
    if who=$(holder "$switch_lock"); then
        say "locked $who"
        return
    fi
    echo 'a collection of garbage' >"$base/lock"
    step delete-generations retire "$@"
    step boot-menu renew_menu
    step collect collect
    grep ' freed$' "$said" | while read -r line; do say "says $line"; done
    rm -f "$said"
    echo end
}

main "$@" </dev/null
