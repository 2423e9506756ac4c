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
    ln -sfn "$way_back" "$gcroots/$id-old" && ln -sfn "$new" "$gcroots/$id-new"
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
    if ! head -c "$RESERVE" /dev/zero 2>/dev/null >"$dir/reserve"; then
        rm -f "$dir/reserve"
        finish "no-space /run $RESERVE $(free_bytes "$dir") 0"
        return 1
    fi
    if ! has_booted; then
        finish 'refused the host has not come to the end of its boot'
        return 1
    fi
    now_running=$(running)
    if [ "$now_running" != "$observed" ]; then
        finish "observed-changed ${now_running:-nothing}"
        return 1
    fi
    if [ -e "$root$new" ] && [ ! -e "$root$new/bin/switch-to-configuration" ]; then
        finish 'unswitchable system.switch.enable is off for this host'
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
        finish "no-space /boot $needed $free $boot_reserve"
        return 1
    fi
    # Older releases wait for this lock without a word, newer ones give up; look first.
    if [ -e "$switch_lock" ] && ! flock -n "$switch_lock" true; then
        finish "locked $(holder "$switch_lock" || echo 'an unknown process')"
        return 1
    fi
    find_way_back
    if ! step keep keep_systems; then
        finish "failed keep $code"
        return 1
    fi
    if ! step sync flush "$root/nix/store"; then
        finish "failed sync $code"
        return 1
    fi
    choose_specialisation || return 1
    # By absolute path: "the previous generation" is whatever somebody makes of it meanwhile.
    old_profile=$(installed)
    old_generation=$(readlink "$profile")
    printf '%s\n' "$action" "$new" "$observed" "$old_profile" "$old_generation" "$boots" "$way_back" \
        >"$dir/systems"
    remember_health
}

# activate ACTION: runs the switch to its end, again where it broke off, and says what came of it.
activate() {
    begin_switching
    switch "$1" "$new" "$1"
    while [ "$came_to" = broken-off ] && [ "$tries" -lt "$SWITCH_TRIES" ] && has_time_to_switch; do
        note "$1 broke off with $code, and is begun again"
        pause_switching
        wake
        switch "$1" "$new" "$1"
    done
    case $came_to in
    locked | reboot | inhibited | refused)
        # Nothing was changed, so there is nothing of it to remember.
        [ "$way_back" != "$observed" ] || rm -f "$base/unproven"
        ;;
    esac
    case $came_to in
    ended) [ "$code" = 0 ] || name_failures "$1" ;;
    locked) finish "locked $(holder "$switch_lock" || echo 'a switch that has ended by now')" ;;
    reboot) finish "reboot-required init-interface" ;;
    inhibited) finish "reboot-required switch-inhibitor" ;;
    refused)
        why=''
        [ "$code" != 137 ] || why=" a check before the switch did not end in time"
        finish "refused$why"
        ;;
    timed-out) give_up "timed-out $1" ;;
    *) give_up "failed $1 $code" ;;
    esac
    [ "$came_to" = ended ]
}

# name_failures ACTION: what has failed where the switch ended with 4. A user's own units are no reason to go back;
# anything else that has no name is.
name_failures() {
    named_failed | sort -u >"$dir/named"
    if [ -s "$dir/named" ]; then
        degraded=yes
    elif said '^warning: the following units failed'; then
        note 'what had failed at first runs by now'
    elif said '^user activation for .* failed'; then
        note 'the activation of a user failed, and no unit of the system'
    else
        came_to=failed
        amiss "failed $1 $code" && came_to=ended
    fi
}

# is_there: whether the activation moved the host to the new system. An empty script "succeeds".
is_there() {
    [ "$(running)" = "$new" ]
}

# Until one of them has proven itself, whoever finds it running has to know what ran before the first.
remember_unproven() {
    printf '%s\n' "$way_back" "$observed" "$new" >"$base/unproven.$id" &&
        mv -f "$base/unproven.$id" "$base/unproven"
}

# find_way_back: $way_back is what ran before the attempts that led to what runs now, where none has proven itself.
find_way_back() {
    way_back=$observed
    read -r before 2>/dev/null <"$base/unproven" || return 0
    if tail -n +2 "$base/unproven" | grep -qxF "$observed" &&
        [ -x "$root$before/bin/switch-to-configuration" ]; then way_back=$before; fi
}

activate_live() {
    remember_unproven
    : >"$dir/activating"
    activate test || return 1
    step verify is_there || give_up "failed verify $code"
}

# --------------------------------------------------------------------------------------------- the proof

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

# Twice, for what dies late: before anybody is asked, and once more at the end.
prove() {
    restarts >"$dir/restarts"
    if [ "$settle_seconds" != 0 ]; then step settle sleep "$settle_seconds"; fi
    is_well && probes && await_acknowledgement && is_well
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
    "$boots") [ -e "$dir/committing" ] || [ "$old_profile" = "$boots" ] || foreign_profile ;;
    *) foreign_profile ;;
    esac
}
foreign_profile() {
    finish "changed-meanwhile the system profile, to $(installed || echo nothing)"
    return 1
}

# generations: the links of the profile, one a line.
generations() {
    for link in "$profile"-*-link; do
        [ ! -L "$link" ] || say "${link##*/}"
    done
}

# Makes the system the boot default. The profile is on disk before the boot entry that names it.
commit() {
    is_ours || return 1
    : >"$dir/committing"
    [ -e "$dir/generations" ] || generations >"$dir/generations"
    if ! step set-profile nix-env -p "$profile" --set "$boots"; then
        give_up "failed set-profile $code"
        return 1
    fi
    step sync-profile flush "$profiles"
    if ! step boot bounded "$root$boots/bin/switch-to-configuration" boot; then
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
    [ ! -e "$dir/activating" ] || rm -f "$base/unproven"
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

