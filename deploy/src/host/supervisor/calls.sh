# What comes over SSH, one verb a call:
#
#   start ID ACTION NEW OBSERVED SECONDS   start the unit reconcile-ID, unless that was done before
#   wait ID SECONDS                        wait for the verdict, or until the caller has to acknowledge
#   acknowledge ID SECONDS [PROBE]         say that a login works, and which probe of the caller's
#                                          failed if one did, then wait for the verdict
#   clean ID                               remove what an ended deployment left
#
# and what the unit itself runs: run ID ACTION NEW OBSERVED, ended ID, end ID.

start() {
    action=$2 new=$3 observed=$4 seconds=$5
    # One start after the other: who comes second sees a unit that runs, or what it left.
    exec 7>>"$base/starting"
    flock -w "$START_SECONDS" 7
    if ! mkdir "$dir" 2>/dev/null &&
        { [ -e "$dir/verdict" ] || [ -d "$dir/begun" ] || is_running "$id"; }; then
        rm -f "$0"
        echo already
        return 0
    fi
    mv -f "$0" "$dir/supervisor"
    if launch "$seconds" "$observed" "$new" run "$id" "$action" "$new" "$observed"; then
        echo new
    elif [ -d "$dir/begun" ] || is_running "$id"; then
        echo already
    else
        # Not more than we made: if another start was quicker, the rest is its.
        rm -f "$dir/supervisor"
        rmdir "$dir" 2>/dev/null
        echo not-started
        return 1
    fi
}

# launch SECONDS SYSTEM SYSTEM VERB…: runs a verb as the unit reconcile-ID.
launch() {
    # A transient unit inherits no HOME, and on NixOS a PATH without coreutils.
    path=$2/sw/bin:$3/sw/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin
    path=$path:/run/wrappers/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    limit=$1
    shift 3
    # The end twice: if the first is killed, the second takes it up.
    systemd-run --quiet --no-ask-password --unit="reconcile-$id" --service-type=exec \
        --description="Deployment $id" \
        --setenv="PATH=$path" --setenv=HOME=/root \
        --property=RuntimeMaxSec="$limit" --property=KillSignal=SIGKILL \
        --property=TimeoutStopSec="$((4 * activate_seconds + 2 * END_SECONDS))" \
        --property=ExecStopPost="-/bin/sh $dir/supervisor ended $id" \
        --property=ExecStopPost="-/bin/sh $dir/supervisor ended $id" \
        /bin/sh "$dir/supervisor" "$@" 7>&-
}

# Whether the host waits for the caller's acknowledgement.
is_awaiting() {
    [ -e "$dir/awaiting" ] && [ ! -L "$dir/decision" ] && [ ! -e "$dir/verdict" ]
}

# Whether the caller still wants to wait.
has_time() {
    left=$((deadline - $(now)))
    [ "$left" -gt 0 ]
}

# block LOCK: returns when the unit lets go of it, or when the caller's time is over.
block() {
    has_time || return 1
    [ ! -e "$dir/$1" ] || flock -s -w "$left" "$dir/$1" true
}

# Blocks in flock(1) while the supervisor lives. It sleeps only in short moments: before a new unit
# has taken its locks, and between a unit's death and its end.
wait_for() {
    # The clock has whole seconds, so one more: late by a part of one is better than early.
    deadline=$(($(now) + $2 + 1))
    while [ -d "$dir" ] && [ ! -e "$dir/verdict" ] && has_time; do
        # Not before: past `proving` before it is taken, `lock` would hide that the host awaits us.
        if [ -d "$dir/begun" ]; then
            block proving || break
            if is_awaiting && is_running "$id"; then break; fi
            block lock || break
            [ ! -e "$dir/verdict" ] || break
        fi
        if ! is_running "$id"; then
            if [ ! -d "$dir/begun" ] || [ -e "$dir/verdict" ]; then break; fi
            # Dead, and its end with it.
            take_up || break
        fi
        sleep 0.1
    done
    report
}

# Ends, as a unit, what was left without an end.
take_up() {
    if [ ! -e "$dir/systems" ]; then
        end
        return
    fi
    {
        read -r _
        read -r new
        read -r observed
    } <"$dir/systems" || return 1
    activate_seconds=$(sed -n 's/^activate_seconds=//p' "$dir/supervisor" | head -n 1)
    systemctl reset-failed "reconcile-$id.service" 2>/dev/null
    launch "$((4 * activate_seconds + END_SECONDS))" "$observed" "$new" ended "$id"
}

acknowledge() {
    said=acknowledged
    [ -z "${3:-}" ] || said="probe $3"
    if [ ! -e "$dir/awaiting" ]; then
        echo 'acknowledgement early'
    elif ln -s "$said" "$dir/decision" 2>/dev/null; then
        # Opened for reading too, so that this does not block when nobody listens any more.
        { printf a >&6; } 6<>"$dir/bell"
        echo 'acknowledgement given'
    elif [ "$(readlink "$dir/decision")" = "$said" ]; then
        echo 'acknowledgement given'
    else
        echo 'acknowledgement late'
    fi
    wait_for "$@"
}

report() {
    read -r boot <"$root/proc/sys/kernel/random/boot_id" && say "boot-id $boot"
    if [ -e "$dir/steps" ]; then
        while read -r line; do say "step $line"; done <"$dir/steps"
    fi
    if [ -e "$dir/verdict" ]; then
        while read -r unit; do say "failed-unit $unit"; done <"$dir/failed-units"
        say "verdict $(cat "$dir/verdict")"
    elif is_awaiting; then
        echo 'verdict awaiting'
    elif is_running "$id"; then
        echo 'verdict running'
    elif [ -e "$dir/verdict" ]; then
        # It ended between the two looks.
        report
        return
    elif [ -d "$dir/begun" ]; then
        echo 'verdict interrupted unknown'
    else
        echo 'verdict vanished'
    fi
    echo output
    if [ -e "$dir/output" ]; then tail -c "$OUTPUT_TAIL" "$dir/output"; fi
}

clean() {
    rm -f "$base/.$id".*
    # The verdict comes a moment before the unit's end.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        is_running "$id" || break
        if [ ! -e "$dir/verdict" ]; then
            echo running
            return 0
        fi
        sleep 0.2
    done
    systemctl reset-failed "reconcile-$id.service" 2>/dev/null
    rm -f "$gcroots/$id-old" "$gcroots/$id-new"
    rm -rf "$dir" "${lasting:?}/$id"
    rmdir "$gcroots" "$lasting" 2>/dev/null
    echo clean
}

main() {
    verb=${1:-none}
    shift
    id=${1:-}
    case $id in
    '' | -* | *[!a-z0-9-]*)
        echo "not a deployment id: $id" >&2
        return 2
        ;;
    esac
    dir=$base/$id
    if [ ! -d "$dir" ] && [ -d "$lasting/$id" ]; then dir=$lasting/$id; fi
    case $verb in
    start) start "$@" ;;
    run) run "$@" ;;
    ended) ended "$@" ;;
    end) end "$@" ;;
    wait) wait_for "$@" ;;
    acknowledge) acknowledge "$@" ;;
    clean) clean "$@" ;;
    *)
        echo "unknown verb: $verb" >&2
        return 2
        ;;
    esac
}

main "$@" </dev/null
