# The end after any death: what systemd runs as ExecStopPost=, when nothing else of the unit lives any
# more. A commit that has begun is finished; everything else goes back.

# end: once for every id, whoever asks for it.
end() {
    [ ! -e "$dir/verdict" ] || return 0
    exec 9>>"$dir/lock"
    flock 9
    [ ! -e "$dir/verdict" ] || return 0
    # What was kept free is for what comes now.
    rm -f "$dir/reserve"
    degraded=no
    # systemd sets SERVICE_RESULT (systemd.exec(5)): timeout, signal, oom-kill, success …
    cause="interrupted ${SERVICE_RESULT:-unknown}"
    if [ -s "$dir/reason" ]; then cause=$(cat "$dir/reason"); fi
    if [ ! -e "$dir/systems" ] || { [ ! -e "$dir/activating" ] && [ ! -e "$dir/committing" ]; }; then
        # Nothing was changed.
        case $cause in
        timed-out*) finish 'interrupted timeout' ;;
        *) finish "$cause" ;;
        esac
        return 0
    fi
    {
        read -r action
        read -r new
        read -r observed
        read -r old_profile
        read -r old_generation
        read -r boots
        read -r way_back
    } <"$dir/systems"
    if [ ! -e "$dir/reason" ] && is_decided && is_still_well && commit; then
        finish_well
    elif [ ! -e "$dir/verdict" ]; then
        go_back
    fi
    return 0
}

# is_decided: whether the new system was to stay when the unit died.
is_decided() {
    if [ -e "$dir/awaiting" ]; then
        decide
        case $decision in
        acknowledged) ;;
        probe*) amiss "$decision" ;;
        *) return 1 ;;
        esac
    else
        [ -e "$dir/committing" ]
    fi
}

# is_still_well: `is_well`, where a system was activated at all.
is_still_well() {
    [ ! -e "$dir/activating" ] || is_well
}

# Puts everything back that is as we left it, the boot default first: from then on a power cut helps.
go_back() {
    if [ -s "$dir/reason" ]; then cause=$(cat "$dir/reason"); fi
    kept='' failed=''
    # The old system's own checks have no say in the way back: it ran a moment ago.
    export NIXOS_NO_CHECK=1
    if [ -e "$dir/committing" ]; then restore_boot; fi
    if [ -e "$dir/activating" ]; then restore_system; fi
    if [ -n "$failed" ]; then
        finish "rollback-failed $failed $cause"
        if boots_before; then last_resort; fi
    elif [ -n "$kept" ]; then
        finish "changed-meanwhile $kept"
    elif [ "$way_back" = "$new" ]; then
        # It ran this system before: there is nothing to go back to, and nothing to keep away from it.
        case $cause in
        failed*) finish "$cause" ;;
        *) finish "failed ${cause%% *} 1" ;;
        esac
    else
        [ ! -e "$dir/activating" ] || rm -f "$base/unproven"
        finish "rolled-back $cause"
    fi
}

# boots_before: whether a reboot leads to the system that the host booted before we came.
boots_before() {
    case $failed in
    'restore '* | 'restore-verify '*) [ -n "$old_profile" ] && [ "$(installed)" = "$old_profile" ] ;;
    *) return 1 ;;
    esac
}

# Reboots, where that is wanted, and leaves the verdict where it outlives the boot.
last_resort() {
    [ "$on_rollback_failed" = reboot ] || return 0
    note 'begin reboot'
    (umask 077 && mkdir -p "$lasting" && cp -R "$dir" "$lasting/" && flush "$lasting") && systemctl reboot
    note "end reboot $?"
}

restore_boot() {
    # A host that never had a profile boots as it always did.
    [ -n "$old_profile" ] || return 0
    case $(installed) in
    "$boots")
        if [ "$old_profile" = "$boots" ]; then return; fi
        step restore-profile restore_profile || failed="restore-profile $code"
        step sync-profile flush "$profiles"
        ;;
    # The profile never came to be moved, or an end before this one has put it back already.
    "$old_profile") ;;
    *)
        kept="the system profile, to $(installed || echo nothing)"
        return
        ;;
    esac
    step restore-boot bounded "$root$old_profile/bin/switch-to-configuration" boot ||
        failed="restore-boot $code"
    if [ -d "$root/boot" ]; then step sync-boot flush "$root/boot"; fi
    if ! step verify-boot boots_old_profile; then failed=${failed:-verify-boot $code}; fi
}

# The generation that was current, or a new one of the same system where that is gone or is not the last: systemd-boot
# has entries for the last few only, and lanzaboote boots the last. The generation of the system that could not stay
# goes, or the next `nixos-rebuild --rollback` or boot finds it.
restore_profile() {
    made=$(generations | grep -vxFf "$dir/generations")
    last=$(sort -t - -k 2 -n "$dir/generations" | tail -n 1)
    if [ "$old_generation" = "$last" ] && [ "$(resolve "$profiles/$old_generation")" = "$old_profile" ]; then
        number=${old_generation#system-}
        nix-env -p "$profile" --switch-generation "${number%-link}"
    else
        nix-env -p "$profile" --set "$old_profile"
    fi || return
    for link in $made; do
        number=${link#system-}
        [ "$(resolve "$profiles/$link")" != "$boots" ] ||
            nix-env -p "$profile" --delete-generations "${number%-link}"
    done
}

# default_entry: the system that the boot loader starts by default, where it can be told: systemd-boot's loader.conf
# names an entry, extlinux has a label, grub's first entry is the default (nixpkgs, the three builders).
default_entry() {
    if entry=$(sed -n 's/^default  *\(nixos-generation-[0-9]*\.conf\)$/\1/p' "$root/boot/loader/loader.conf") &&
        [ -n "$entry" ]; then
        set -- "$root/boot/loader/entries/$entry"
    elif [ -e "$root/boot/extlinux/extlinux.conf" ]; then
        set -- "$root/boot/extlinux/extlinux.conf"
    else
        set -- "$root/boot/grub/grub.cfg"
    fi
    sed -n 's/.*init=\(\/nix\/store\/[^ /]*\)\/init.*/\1/p' "$1" | head -n 1
}

# boots_old_profile: nothing says that the boot loader starts another system.
boots_old_profile() {
    entry=$(default_entry 2>/dev/null)
    [ -z "$entry" ] || [ "$entry" = "$old_profile" ]
}

restore_system() {
    case $(running) in
    "$new" | "$observed" | "$way_back" | '') ;;
    *)
        kept="the running system, to $(running)"
        return
        ;;
    esac
    [ "$way_back" != "$new" ] || return 0
    # When the host shuts down, what it boots is the old system; activating it would only be in the way.
    [ "$(systemctl is-system-running 2>/dev/null)" != stopping ] || return 0
    begin_switching
    wake
    switch restore "$way_back" test
    # Whatever was in the way of it may have gone by the next time; there is nothing better to do with a host half-way.
    until is_back || is_hopeless || ! has_time_to_switch; do
        pause_switching
        wake
        start_stopped
        switch restore "$way_back" test
    done
    if is_back; then return; fi
    start_stopped
    case $code in
    0 | 4) failed=${failed:-restore-verify 1} ;;
    *) failed=${failed:-restore $code} ;;
    esac
}

# is_back: the old system runs, and its switch has come to its end. What breaks it off again and again there did so
# before too.
is_back() {
    [ "$(running)" = "$way_back" ] && ! is_half_way || return 1
    case $code in
    0 | 4) ;;
    2) return 1 ;;
    *) [ "$tries" -ge "$SWITCH_TRIES" ] ;;
    esac
}

# is_hopeless: a script of the old system fails each time, and that will not change.
is_hopeless() {
    [ "$code" = 2 ] && [ "$tries" -ge "$SWITCH_TRIES" ]
}

# ended: `end`, when no other deployment of ours is at it.
ended() {
    exec 8>>"$base/lock"
    flock -w "$END_SECONDS" 8
    end
}

