# The unit's own work: prepare, activate, prove, commit. `test` first and the boot default last, so
# that until everything is proven a power cut boots the old system.

# Keeps both systems from the garbage collector until `clean`, and sweeps what ended
# deployments left.
keep_systems() {
    mkdir -p "$gcroots" || return 1
    for link in "$gcroots"/*; do
        [ -L "$link" ] || continue
        owner=${link##*/}
        owner=$base/${owner%-*}
        if [ ! -d "$owner" ] || [ -e "$owner/verdict" ]; then rm -f "$link"; fi
    done
    ln -sfn "$observed" "$gcroots/$id-old" && ln -sfn "$new" "$gcroots/$id-new"
}

# whole: the new system is on this host and not an empty shell.
whole() {
    [ -s "$root$new/bin/switch-to-configuration" ] && [ -x "$root$new/bin/switch-to-configuration" ]
}

# is_foreign: the new system was built for a platform that this host is not.
is_foreign() {
    platform=$(built_for "$new") || return 1
    ! platforms | grep -qxF "$platform"
}

# boot_parts SYSTEM: what a boot entry for it needs on /boot, one path a line.
boot_parts() {
    for part in kernel initrd; do
        if [ -e "$root$1/$part" ]; then readlink -f "$root$1/$part"; fi
    done
}

# new_boot_bytes: the size of the kernel and initrd that neither what runs nor what is installed has.
new_boot_bytes() {
    bytes=0
    known=$(boot_parts "$observed" && boot_parts /nix/var/nix/profiles/system)
    for part in $(boot_parts "$new"); do
        if ! say "$known" | grep -qxF "$part"; then bytes=$((bytes + $(stat -c %s "$part"))); fi
    done
    say "$bytes"
}

# clears_boot: systemd-boot drops entries, and their kernels, before it adds one: those of generations
# that are gone, or beyond its limit (nixpkgs, systemd-boot-builder.py). What is free now says nothing then.
clears_boot() {
    entries=$root/boot/loader/entries/nixos-generation-
    for link in "$profile"-*-link; do
        number=${link#"$profile"-}
        [ ! -L "$link" ] || [ -e "$entries${number%-link}.conf" ] || return 0
    done
    for entry in "$entries"*.conf; do
        number=${entry#"$entries"}
        [ ! -e "$entry" ] || [ -L "$profile-${number%%[!0-9]*}-link" ] || return 0
    done
    return 1
}

# has_boot_room: whether a boot entry for the new system fits on /boot, where that is a file system of its own.
has_boot_room() {
    [ "$check_boot" = yes ] || return 0
    case $action in switch | boot) ;; *) return 0 ;; esac
    boot=$(stat -c %d "$root/boot/." 2>/dev/null) || return 0
    if [ "$boot" = "$(stat -c %d "$root/.")" ]; then return 0; fi
    needed=$(new_boot_bytes)
    if [ "$needed" = 0 ] || { [ -d "$root/boot/loader/entries" ] && clears_boot; }; then return 0; fi
    numbers=$(stat -f -c '%a %S' "$root/boot") || return 0
    free=$((${numbers% *} * ${numbers#* }))
    [ "$((needed + BOOT_RESERVE))" -le "$free" ]
}

# Ends what an earlier deployment left without an end, or its unproven system would become the one
# that this one goes back to.
end_others() {
    for other in "$base"/*/; do
        other=${other%/}
        other=${other##*/}
        if [ "$other" = "$id" ] || [ ! -d "$base/$other/begun" ] || [ -e "$base/$other/verdict" ]; then continue; fi
        if is_running "$other"; then
            finish "locked reconcile-$other.service"
            return 1
        fi
        note "ending $other"
        /bin/sh "$base/$other/supervisor" end "$other" 5>&- 8>&- 9>&- || note "cannot end $other"
    done
}

# Everything that has to be true before anything is changed.
prepare() {
    if ! flock -n 8; then
        finish "locked $(cat "$base/lock")"
        return 1
    fi
    echo "reconcile-$id.service" >"$base/lock"
    end_others || return 1
    now_running=$(running)
    if [ "$now_running" != "$observed" ]; then
        finish "observed-changed ${now_running:-nothing}"
        return 1
    fi
    if ! whole; then
        finish "refused $new is not on this host, or not whole"
        return 1
    fi
    if is_foreign; then
        finish "wrong-platform $platform $(kernel_platform)"
        return 1
    fi
    if ! has_boot_room; then
        finish "no-space /boot $needed $free $BOOT_RESERVE"
        return 1
    fi
    # Older releases wait for this lock without a word, newer ones give up; look first.
    if [ -e "$switch_lock" ] && ! flock -n "$switch_lock" true; then
        finish "locked $(holder "$switch_lock" || echo 'an unknown process')"
        return 1
    fi
    if ! step keep keep_systems; then
        finish "failed keep $code"
        return 1
    fi
    if ! step sync flush "$root/nix/store"; then
        finish "failed sync $code"
        return 1
    fi
    # By absolute path: "the previous generation" is whatever somebody makes of it meanwhile.
    old_profile=$(installed)
    old_generation=$(readlink "$profile")
    printf '%s\n' "$action" "$new" "$observed" "$old_profile" "$old_generation" >"$dir/systems"
    failed_units >"$dir/failed-before"
    ailments >"$dir/ailing-before"
}

# activate: runs switch-to-configuration and reads its exit code.
activate() {
    began=$(now)
    step "$1" bounded "$root$new/bin/switch-to-configuration" "$1"
    case $code in
    0) ;;
    4) degraded=yes ;;
    100)
        finish "reboot-required init-interface"
        return 1
        ;;
    11)
        finish "locked $(holder "$switch_lock" || echo 'a switch that has ended by now')"
        return 1
        ;;
    1)
        # Refused before anything was done, or an error half-way: the link and the lists tell.
        if [ "$(running)" != "$observed" ] || [ "$observed" = "$new" ] || is_half_way; then
            give_up "failed $1 1"
        elif grep -q switchInhibitors "$dir/output"; then
            finish "reboot-required switch-inhibitor"
        else
            finish refused
        fi
        return 1
        ;;
    137)
        if [ $(($(now) - began)) -ge "$activate_seconds" ]; then
            give_up "timed-out $1"
        else
            give_up "failed $1 137"
        fi
        return 1
        ;;
    *)
        give_up "failed $1 $code"
        return 1
        ;;
    esac
}

# is_half_way: an activation broke off after it had stopped units (switch-to-configuration-ng).
is_half_way() {
    for list in start restart reload; do
        [ ! -s "$root/run/nixos/$list-list" ] || return 0
    done
    return 1
}

# is_there: whether the activation moved the host to the new system. An empty script "succeeds".
is_there() {
    [ "$(running)" = "$new" ]
}

activate_live() {
    : >"$dir/activating"
    activate test || return 1
    step verify is_there || give_up "failed verify $code"
}

# --------------------------------------------------------------------------------------------- the proof

# newly_failed: the units that are failed now, were not before, and matter.
newly_failed() {
    failed_units | grep -vxFf "$dir/failed-before" | while read -r unit; do
        case "
$ignored_units
" in
        *"
$unit
"*) ;;
        *) say "$unit" ;;
        esac
    done
}

# ailments: what no host does well with, one a line, by the names that a probe of it would have.
ailments() {
    # systemctl(1): the rescue or emergency target is active.
    [ "$(systemctl is-system-running 2>/dev/null)" != maintenance ] || say is-system-running
    # A host without one of them has the two others.
    stat -f -c '%n %a %S' "$root/" "$root/boot" "$root/nix" 2>/dev/null | while read -r place blocks size; do
        [ "$((blocks * size / 1048576))" -ge "$FREE_MEBIBYTES" ] || say "free-space:${place#"$root"}"
    done
}

# amiss REASON: what sends the host back, unless a degraded system is to be kept.
amiss() {
    if [ "$on_degraded" = keep ]; then
        degraded=yes
    else
        give_up "$*"
    fi
}

# probe NAME ATTEMPTS PAUSE TIMEOUT COMMAND…: one thing that has to succeed on the host; the times
# are in seconds.
probe() {
    what=$1 attempts=$2 pause=$3 limit=$4
    shift 4
    while ! step "probe:$what" timeout -s KILL "$limit" "$@"; do
        attempts=$((attempts - 1))
        if [ "$attempts" -le 0 ]; then
            amiss "probe $what"
            return
        fi
        sleep "$pause"
    done
}

prove() {
    if [ "$settle_seconds" != 0 ]; then step settle sleep "$settle_seconds"; fi
    newly=$(newly_failed | tr '\n' ' ')
    if [ -n "$newly" ]; then amiss "degraded ${newly% }" || return 1; fi
    ailing=$(ailments | grep -vxFf "$dir/ailing-before" | head -n 1)
    if [ -n "$ailing" ]; then amiss "probe $ailing" || return 1; fi
    probes && await_acknowledgement
}

# Waits until somebody has logged in anew and said so, or until nobody has for too long.
await_acknowledgement() {
    [ "$acknowledge_seconds" != 0 ] || return 0
    mkfifo "$dir/bell" && exec 6<>"$dir/bell"
    note 'begin acknowledge'
    : >"$dir/awaiting"
    exec 5>&-
    timeout "$acknowledge_seconds" head -c 1 <&6 >/dev/null 8>&- 9>&-
    exec 6>&-
    decide
    case $decision in
    acknowledged) note 'end acknowledge 0' ;;
    probe*)
        note 'end acknowledge 0'
        amiss "$decision"
        ;;
    *)
        note 'end acknowledge 1'
        give_up not-acknowledged
        ;;
    esac
}

# decide: whoever makes the link has decided, the caller or the clock; a file that is made and looked
# at would let both.
decide() {
    ln -s expired "$dir/decision" 2>/dev/null
    decision=$(readlink "$dir/decision")
}

# -------------------------------------------------------------------------------------------- the commit

# is_ours: nobody has changed the system or the profile meanwhile.
is_ours() {
    if [ "$action" = switch ] && [ "$(running)" != "$new" ]; then
        finish "changed-meanwhile the running system, to $(running || echo nothing)"
        return 1
    fi
    case $(installed) in
    "$old_profile") ;;
    "$new") [ -e "$dir/committing" ] || [ "$old_profile" = "$new" ] || foreign_profile ;;
    *) foreign_profile ;;
    esac
}
foreign_profile() {
    finish "changed-meanwhile the system profile, to $(installed || echo nothing)"
    return 1
}

# Makes the system the boot default. The profile is on disk before the boot entry that names it.
commit() {
    is_ours || return 1
    : >"$dir/committing"
    if ! step set-profile nix-env -p "$profile" --set "$new"; then
        give_up "failed set-profile $code"
        return 1
    fi
    step sync-profile flush "$profiles"
    if ! step boot bounded "$root$new/bin/switch-to-configuration" boot; then
        give_up "failed boot $code"
        return 1
    fi
    if [ -d "$root/boot" ]; then step sync-boot flush "$root/boot"; fi
}

deploy() {
    prepare || return 0
    case $action in
    switch) activate_live && prove && commit ;;
    test) activate_live && prove ;;
    boot) commit ;;
    dry-activate) activate dry-activate ;;
    *) finish "refused unknown action $action" ;;
    esac || return 0
    finish_well
}

finish_well() {
    if [ "$degraded" = yes ]; then
        finish degraded
    else
        finish 'done'
    fi
}

# Always exits 0 once it has begun: a failed unit of ours would make the host degraded.
run() {
    action=$2 new=$3 observed=$4 degraded=no
    exec 9>>"$dir/lock" 5>>"$dir/proving" 8>>"$base/lock"
    flock 9
    flock 5
    mkdir "$dir/begun" 2>/dev/null || return 0
    deploy
    return 0
}

