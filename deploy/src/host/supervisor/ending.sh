# The end after any death: what systemd runs as ExecStopPost=, when nothing else of the unit lives any
# more. A commit that has begun is finished; everything else goes back.

# end: once for every id, whoever asks for it.
end() {
    [ ! -e "$dir/verdict" ] || return 0
    exec 9>>"$dir/lock"
    flock 9
    [ ! -e "$dir/verdict" ] || return 0
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
    } <"$dir/systems"
    if [ ! -e "$dir/reason" ] && is_decided && commit; then
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

# Puts everything back that is as we left it, the boot default first: from then on a power cut helps.
go_back() {
    if [ -s "$dir/reason" ]; then cause=$(cat "$dir/reason"); fi
    kept='' failed=''
    if [ -e "$dir/committing" ]; then restore_boot; fi
    if [ -e "$dir/activating" ]; then restore_system; fi
    if [ -n "$failed" ]; then
        finish "rollback-failed $failed $cause"
        if boots_before; then last_resort; fi
    elif [ -n "$kept" ]; then
        finish "changed-meanwhile $kept"
    elif [ "$observed" = "$new" ]; then
        # It ran this system before: there is nothing to go back to, and nothing to keep away from it.
        case $cause in
        failed*) finish "$cause" ;;
        *) finish "failed ${cause%% *} 1" ;;
        esac
    else
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
    "$new")
        if [ "$old_profile" = "$new" ]; then return; fi
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
}

# The generation that was current, or a new one of the same system if that is gone.
restore_profile() {
    generation=${old_generation#system-}
    generation=${generation%-link}
    if [ "$(resolve "$profiles/$old_generation")" = "$old_profile" ]; then
        nix-env -p "$profile" --switch-generation "$generation"
    else
        nix-env -p "$profile" --set "$old_profile"
    fi
}

restore_system() {
    case $(running) in
    "$new" | "$observed" | '') ;;
    *)
        kept="the running system, to $(running)"
        return
        ;;
    esac
    [ "$observed" != "$new" ] || return 0
    # When the host shuts down, what it boots is the old system; activating it would only be in the way.
    [ "$(systemctl is-system-running 2>/dev/null)" != stopping ] || return 0
    step restore bounded "$root$observed/bin/switch-to-configuration" test
    case $code in
    0 | 4) [ "$(running)" = "$observed" ] || failed=${failed:-restore-verify 1} ;;
    *) failed=${failed:-restore $code} ;;
    esac
}

# ended: `end`, when no other deployment of ours is at it.
ended() {
    exec 8>>"$base/lock"
    flock -w "$END_SECONDS" 8
    end
}

